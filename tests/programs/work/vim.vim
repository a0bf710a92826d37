" Work for vim: leaves *.out files and result.txt.
set nomore noswapfile undolevels=1000 encoding=utf-8
let results = []
filetype plugin indent on
syntax on

runtime! syntax/c.vim
let names = {}
for number in range(1, min([line('$'), 400]))
  let id = synID(number, 3, 1)
  let names[synIDattr(id, 'name')] = get(names, synIDattr(id, 'name'), 0) + 1
endfor
call add(results, string(names))
normal gg=G
write! indented.out
for engine in [1, 2]
  execute 'set regexpengine=' . engine
  silent %s/\(\w\+\)\s*=\s*\(\w\+\)/\2 <- \1/ge
  call add(results, searchcount({'pattern': '\v\w+_\d+', 'maxcount': 0,
    \ 'timeout': 0}).total)
  undo
endfor
silent %sort /\w\+/
write! sorted.out
silent global/{/normal Aend
silent vglobal/[0-9]/delete
write! global.out
for step in range(40)
  silent! undo
endfor
write! undone.out
for step in range(40)
  silent! redo
endfor
set foldmethod=indent
normal zMggzj
silent runtime syntax/2html.vim
silent write! page.out.html
quit!

enew!
let list = map(range(20000), 'printf("line %d %s", v:val, repeat("x", v:val % 80))')
call setline(1, list)
call add(results, len(join(getline(1, '$'), '')))
let tree = {}
for i in range(30000)
  let tree['k' . i % 3001] = get(tree, 'k' . i % 3001, []) + [i]
endfor
call add(results, sha256(string(sort(items(tree)))))
function! Walk(n)
  return a:n < 2 ? a:n : Walk(a:n - 1) + Walk(a:n - 2)
endfunction
call add(results, Walk(15))
call add(results, json_encode(map(range(5), {i, v -> {'a': v * i}})))
call add(results, system('echo a child; seq 20000 | tail -n 1'))
normal ggqaA macro ja
normal gg
normal qbA more jq
normal 5000@b
call add(results, sha256(join(getline(1, '$'), "\n")))
for i in range(30)
  execute 'new file' . i
  call setline(1, range(i * 50))
endfor
bufdo! silent %s/1/one/ge
call add(results, len(getbufinfo()))
call writefile(results, 'result.txt')
qall!
