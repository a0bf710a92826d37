# Writes a C file of `functions` functions of about thirty lines each, with
# many types, tables, switches and a chain of calls, so that a compiler's own
# tables grow and its passes have something to do.

function write_type(i,    f) {
  printf "struct node_%d { struct node_%d *next;", i, i
  for (f = 0; f < 3 + i % 9; f++)
    printf " uint%d_t field_%d;", 2 ^ (3 + (f + i) % 4), f
  print " };"
}

function write_table(i,    f) {
  printf "static const int table_%d[] = {", i
  for (f = 0; f < 40; f++)
    printf "%s%d,", f % 10 ? " " : "\n  ", (i * 7919 + f * 104729) % 9973
  print "\n};"
}

function write_loop(i,    f) {
  print "  for (; list != NULL; list = list->next) {"
  printf "    sum += list->field_%d * table_%d[(unsigned)sum %% 40];\n", i % 3, i
  print "    switch ((unsigned)sum % 8) {"
  for (f = 0; f < 8; f++)
    printf "    case %d: sum ^= (sum << %d) + %d; break;\n", f, f + 1, i * f
  print "    }\n  }"
}

function write_function(i) {
  printf "int work_%d(struct node_%d *list, int n) {\n", i, i
  print "  int sum = n;"
  print "  char *copy = malloc((size_t)n + 1);"
  print "  if (copy == NULL) return -1;"
  printf "  memset(copy, %d, (size_t)n + 1);\n", i % 128
  write_loop(i)
  if (i > 0)
    printf "  sum += work_%d(NULL, sum %% 100) - table_%d[n %% 40];\n", i - 1, i
  print "  for (int k = 0; k < n; k++)"
  printf "    sum += copy[k] > %d ? copy[n - k] * k : table_%d[k %% 40];\n",
    i % 100, i
  print "  free(copy);\n  return sum;\n}"
}

BEGIN {
  print "#include <stdint.h>\n#include <stdlib.h>\n#include <string.h>"
  for (i = 0; i < functions; i++) {
    write_type(i)
    write_table(i)
    write_function(i)
  }
}
