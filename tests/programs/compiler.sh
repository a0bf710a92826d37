# What gcc, g++ and clang have in common: a large C file, made here, and
# objects that are compared byte for byte.
. "$(dirname "$0")/lib.sh"

make_large_c() {
  awk -v functions="$1" -f "$here/work/large_c.awk" >large.c
  [ "$(wc -l <large.c)" -gt $((25 * $1)) ] || fail "large.c is not large"
}

sums_of_objects() {
  sha256sum ./*.o
}
