# The work of programs/shell: files, pipes, arrays, functions, job control.

for i in $(seq 1 150); do
  mkdir -p "files/$((i % 12))/deep/$((i % 5))"
  seq "$i" $((i * 37 + 300)) >"files/$((i % 12))/deep/$((i % 5))/$i.txt"
done
find files -exec touch -d '2021-02-03 04:05:06' {} +

ls -lR --time-style=full-iso files | awk '/^-/ { print $1, $5, $9 }' |
  sha256sum
find files -type f -size +1k -name '*7*' -printf '%p %s\n' | sort | sha256sum
find files -type f -print0 | xargs -0 -n 10 -P 2 md5sum | sort | sha256sum
find files -type f -print0 | sort -z | xargs -0 cat | sort -n | uniq -c |
  sort -k1,1nr -k2,2n | head -n 20
du -a --apparent-size files | awk '{ print $2 }' | sort | sha256sum
grep -rhoE '1[0-9]*9$' files | sort | uniq -c | sha256sum
sed -n 's/\([0-9]\)\([0-9]*\)/\2-\1/p' files/*/deep/*/*.txt | sha256sum
awk '{ count[$1 % 1009]++; if (NR % 50 == 0) text = text $1 }
  END { for (k = 0; k < 1009; k++) print count[k], length(text) }' \
  files/*/deep/*/*.txt | sha256sum

seq 300000 | sort -R --random-source=/bin/ls --parallel=2 | sort --parallel=2 |
  sha256sum
seq 1 3 90000 | sort >three
seq 1 7 90000 | sort >seven
comm -12 three seven | wc -l
join three seven | tail -n 1
diff three seven | tail -n 1
diff <(seq 20000) <(seq 2 20000) || echo "they differ"

declare -A seen
for word in $(seq 1 6000); do
  seen[$((word * 7919 % 4001))]+="$word,"
done
for key in "${!seen[@]}"; do
  echo "$key ${seen[$key]}"
done | sort -n | sha256sum
text=$(printf 'line %s\n' {1..20000})
echo "${#text} ${text//1/one}" | sha256sum
mapfile -t lines <<<"$text"
echo "${#lines[@]} ${lines[-1]}"

fibonacci() {
  if (($1 < 2)); then echo "$1"; else
    echo $(($(fibonacci $(($1 - 1))) + $(fibonacci $(($1 - 2)))))
  fi
}
fibonacci 9

for job in 1 2 3 4; do
  seq $((job * 40000)) | md5sum >"job$job" &
done
wait
cat job1 job2 job3 job4
date -d '2020-02-29 + 1 year' +%F
printf '%s\n' "${lines[@]:0:5}" | tr 'a-z' 'A-Z' | tac
