# The input of programs/gcc and programs/clang: make_source.py FUNCTIONS
#
# Structures, switches, loops and calls as ordinary C has them, so that all
# passes have work; nothing is included.
import random
import sys

count = int(sys.argv[1])
dice = random.Random(1)

print("""struct item { int key, weight; struct item *next; double value; };
extern void put(const char *, int);
extern struct item *get(int);
static int table[256];
""")
for number in range(count):
    name = "work%d" % number
    print("static int %s(struct item *item, int n)\n{" % name)
    print("    int sum = %d, i;" % dice.randrange(1000))
    print("    for (i = 0; i < n; i++) {")
    print("        switch ((item->key + i) %% %d) {" % dice.randrange(5, 20))
    for case in range(dice.randrange(3, 8)):
        constant = dice.randrange(1, 10000)
        statement = dice.choice((
            "sum += item->weight * %d;", "sum ^= table[(i * %d) & 255];",
            "item->value = item->value * %d + sum;",
            "if (item->next) item = item->next; else sum -= %d;",
            'put("a text of work", sum + %d);',
            "table[i & 255] = sum / %d;")) % constant
        print("        case %d: %s break;" % (case, statement))
    print("        default: sum += i << %d;" % dice.randrange(1, 8))
    print("        }\n    }")
    if number > 0:
        print("    if (n > %d) sum += work%d(get(n), n - 1);"
              % (dice.randrange(100), dice.randrange(number)))
    print("    return sum;\n}\n")
print("int all(struct item *item)\n{\n    int sum = 0;")
for number in range(count):
    print("    sum += work%d(item, %d);" % (number, dice.randrange(50)))
print("    return sum;\n}")
