# The input of programs/z3: make_smt.py SIZE ROUNDS
#
# Each round has three queries, each with a fresh solver: random clauses near
# the hard ratio, bit vectors whose product is given, and integers under many
# small constraints.
import random
import sys

size = int(sys.argv[1])
rounds = int(sys.argv[2])
dice = random.Random(4)


def clauses():
    names = ["p%d" % i for i in range(size)]
    for name in names:
        print("(declare-const %s Bool)" % name)
    for _ in range(int(4.1 * size)):
        picked = dice.sample(names, 3)
        literals = [dice.choice((n, "(not %s)" % n)) for n in picked]
        print("(assert (or %s))" % " ".join(literals))


def product():
    bits = 10 + size // 30
    print("(declare-const a (_ BitVec %d))" % (2 * bits))
    print("(declare-const b (_ BitVec %d))" % (2 * bits))
    print("(assert (= (bvmul a b) (_ bv%d %d)))"
          % (dice.randrange(1 << bits) * 2 + 1, 2 * bits))
    print("(assert (bvult (_ bv1 %d) a))(assert (bvult a b))" % (2 * bits))


def integers():
    names = ["x%d" % i for i in range(size // 4)]
    for name in names:
        print("(declare-const %s Int)" % name)
        print("(assert (and (<= 0 %s) (< %s 50)))" % (name, name))
    for _ in range(size // 2):
        picked = dice.sample(names, 4)
        total = "(+ %s)" % " ".join(
            "(* %d %s)" % (dice.randrange(1, 9), name) for name in picked)
        print("(assert (or (< %s %d) (> %s %d)))"
              % (total, dice.randrange(200, 500), total,
                 dice.randrange(300, 600)))


for _ in range(rounds):
    for query in (clauses, product, integers):
        query()
        print("(check-sat)\n(reset)")
