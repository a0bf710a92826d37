# What the parts of heavy/python3_* have in common: they run python3 under its
# own regression tests, with every Python object in malloc (PYTHONMALLOC), and
# compare the result of each single test.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
needs $python
$python -c 'import test.test_dict' 2>/dev/null ||
  fail "Python's tests are missing: run tools/packages programs-all"

export PYTHONMALLOC=malloc PYTHONHASHSEED=0

# modules LETTERS: the modules that begin with one of them.
modules() {
  $python -c 'from test.libregrtest.runtest import findtests
print(*findtests(), sep="\n")' | grep "^test_[$1]"
}

run_modules() {
  modules "$1" | $python "$here/work/python_suite.py" 2>suite.log
}

bound python3 $python -c 1
