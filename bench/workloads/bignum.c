/*
 * bignum - arithmetic on numbers of a few words, each a block of its own.
 *
 * Interpreters with boxed numbers, computer algebra, cfrac: every operation
 * allocates its result, which dies within the next few operations. Blocks of
 * 8 to 40 bytes, a live set of dozens, almost all of it last in first out.
 * Little is done with a block, so the allocator is a large part of the whole.
 *
 * The work is the core of factoring by continued fractions (Morrison and
 * Brillhart): expand the square root of a 120-bit N, keep the convergents
 * modulo N, and divide each remainder by small primes. Those that leave
 * little stay alive, as its relations do.
 *
 *     a = (root + P) / Q      A' = (a * A + A_before) mod N
 *     P' = a * Q - P          Q' = (N - P' * P') / Q
 */
#include "bench.h"

#include <stdbool.h>

/* Never negative; limb[limbs - 1] is not 0; zero has no limbs. */
struct number {
    uint32_t limbs;
    uint32_t limb[];
};

static struct number *number_raw(uint32_t limbs)
{
    struct number *number =
        block_require(malloc(sizeof(struct number) + limbs * sizeof(uint32_t)));
    number->limbs = limbs;
    return number;
}

static struct number *number_trim(struct number *number)
{
    while (number->limbs > 0 && number->limb[number->limbs - 1] == 0) {
        number->limbs--;
    }
    return number;
}

static struct number *number_from(uint64_t value)
{
    struct number *number = number_raw(2);
    number->limb[0] = (uint32_t)value;
    number->limb[1] = (uint32_t)(value >> 32);
    return number_trim(number);
}

static struct number *number_copy(const struct number *number)
{
    struct number *copy = number_raw(number->limbs);
    memcpy(copy->limb, number->limb, number->limbs * sizeof(uint32_t));
    return copy;
}

static uint64_t number_low(const struct number *number)
{
    uint64_t low = number->limbs > 0 ? number->limb[0] : 0;
    uint64_t high = number->limbs > 1 ? number->limb[1] : 0;
    return high << 32 | low;
}

static uint32_t limb_at(const struct number *number, uint32_t index)
{
    return index < number->limbs ? number->limb[index] : 0;
}

static struct number *number_add(const struct number *a, const struct number *b)
{
    uint32_t limbs = (a->limbs > b->limbs ? a->limbs : b->limbs) + 1;
    struct number *sum = number_raw(limbs);
    uint64_t carry = 0;
    for (uint32_t i = 0; i < limbs; i++) {
        carry += (uint64_t)limb_at(a, i) + limb_at(b, i);
        sum->limb[i] = (uint32_t)carry;
        carry >>= 32;
    }
    return number_trim(sum);
}

/* a - b for a >= b. */
static struct number *number_subtract(const struct number *a,
                                      const struct number *b)
{
    struct number *difference = number_raw(a->limbs);
    uint64_t borrow = 0;
    for (uint32_t i = 0; i < a->limbs; i++) {
        uint64_t step = (uint64_t)a->limb[i] - limb_at(b, i) - borrow;
        difference->limb[i] = (uint32_t)step;
        borrow = step >> 63;
    }
    return number_trim(difference);
}

static struct number *number_multiply(const struct number *a,
                                      const struct number *b)
{
    struct number *product = number_raw(a->limbs + b->limbs);
    memset(product->limb, 0, product->limbs * sizeof(uint32_t));
    for (uint32_t i = 0; i < a->limbs; i++) {
        uint64_t carry = 0;
        for (uint32_t j = 0; j < b->limbs; j++) {
            carry += (uint64_t)a->limb[i] * b->limb[j] + product->limb[i + j];
            product->limb[i + j] = (uint32_t)carry;
            carry >>= 32;
        }
        product->limb[i + b->limbs] = (uint32_t)carry;
    }
    return number_trim(product);
}

static struct number *divide_by_limb(const struct number *a, uint32_t b,
                                     uint32_t *rest)
{
    struct number *quotient = number_raw(a->limbs);
    uint64_t remainder = 0;
    for (uint32_t i = a->limbs; i-- > 0;) {
        remainder = remainder << 32 | a->limb[i];
        quotient->limb[i] = (uint32_t)(remainder / b);
        remainder %= b;
    }
    *rest = (uint32_t)remainder;
    return number_trim(quotient);
}

/* Its limbs moved up by some bits, in one limb more, not trimmed. */
static struct number *shifted_up(const struct number *number, unsigned bits)
{
    struct number *shifted = number_raw(number->limbs + 1);
    uint64_t carry = 0;
    for (uint32_t i = 0; i <= number->limbs; i++) {
        carry |= (uint64_t)limb_at(number, i) << bits;
        shifted->limb[i] = (uint32_t)carry;
        carry >>= 32;
    }
    return shifted;
}

static struct number *shift_down(struct number *number, unsigned bits)
{
    for (uint32_t i = 0; i < number->limbs; i++) {
        uint64_t pair =
            (uint64_t)limb_at(number, i + 1) << 32 | number->limb[i];
        number->limb[i] = (uint32_t)(pair >> bits);
    }
    return number_trim(number);
}

/* One digit of the quotient: the guess from two limbs is at most two too
 * large (Knuth, volume 2, 4.3.1, algorithm D). */
static uint32_t divide_step(uint32_t *rest, const struct number *divisor,
                            uint32_t limbs)
{
    uint64_t top = (uint64_t)rest[limbs] << 32 | rest[limbs - 1];
    uint64_t guess = top / divisor->limb[limbs - 1];
    uint64_t left = top % divisor->limb[limbs - 1];
    while (guess >> 32 != 0 ||
           guess * divisor->limb[limbs - 2] > (left << 32 | rest[limbs - 2])) {
        guess--;
        left += divisor->limb[limbs - 1];
        if (left >> 32 != 0) {
            break;
        }
    }
    uint64_t carry = 0, borrow = 0;
    for (uint32_t i = 0; i <= limbs; i++) {
        carry += guess * (i < limbs ? divisor->limb[i] : 0);
        uint64_t step = (uint64_t)rest[i] - (uint32_t)carry - borrow;
        rest[i] = (uint32_t)step;
        borrow = step >> 63;
        carry >>= 32;
    }
    if (borrow != 0) {
        guess--;
        for (uint32_t i = 0; i <= limbs; i++) {
            borrow = (uint64_t)rest[i] + (i < limbs ? divisor->limb[i] : 0) +
                     (i == 0 ? 0 : borrow >> 32);
            rest[i] = (uint32_t)borrow;
        }
    }
    return (uint32_t)guess;
}

/* The quotient; the remainder too if `rest` is not NULL. */
static struct number *number_divide(const struct number *a,
                                    const struct number *b,
                                    struct number **rest)
{
    if (b->limbs <= 1 || a->limbs < b->limbs) {
        uint32_t small = 0;
        struct number *quotient = b->limbs > 1
                                      ? number_from(0)
                                      : divide_by_limb(a, b->limb[0], &small);
        if (rest != NULL) {
            *rest = b->limbs > 1 ? number_copy(a) : number_from(small);
        }
        return quotient;
    }
    uint32_t limbs = b->limbs;
    unsigned bits = (unsigned)__builtin_clz(b->limb[limbs - 1]);
    struct number *remainder = shifted_up(a, bits);
    struct number *divisor = shifted_up(b, bits);
    struct number *quotient = number_raw(a->limbs - limbs + 1);
    for (uint32_t i = quotient->limbs; i-- > 0;) {
        quotient->limb[i] = divide_step(&remainder->limb[i], divisor, limbs);
    }
    free(divisor);
    if (rest != NULL) {
        *rest = shift_down(number_trim(remainder), bits);
    } else {
        free(remainder);
    }
    return number_trim(quotient);
}

static bool number_less(const struct number *a, const struct number *b)
{
    if (a->limbs != b->limbs) {
        return a->limbs < b->limbs;
    }
    for (uint32_t i = a->limbs; i-- > 0;) {
        if (a->limb[i] != b->limb[i]) {
            return a->limb[i] < b->limb[i];
        }
    }
    return false;
}

/* Newton's way, from above. */
static struct number *number_root(const struct number *n)
{
    struct number *root = number_copy(n);
    for (;;) {
        struct number *quotient = number_divide(n, root, NULL);
        struct number *sum = number_add(root, quotient);
        uint32_t odd;
        struct number *next = divide_by_limb(sum, 2, &odd);
        free(quotient);
        free(sum);
        if (!number_less(next, root)) {
            free(next);
            return root;
        }
        free(root);
        root = next;
    }
}

static void replace(struct number **variable, struct number *value)
{
    free(*variable);
    *variable = value;
}

/* Where the expansion stands; see the formulas above. */
struct expansion {
    struct number *n, *root;
    struct number *p, *q;
    struct number *convergent, *convergent_before;
};

static void expansion_start(struct expansion *e)
{
    struct number *a = number_from(1152921504606846883u);
    struct number *b = number_from(1080863910568919057u);
    struct number *one = number_from(1);
    e->n = number_multiply(a, b);
    e->root = number_root(e->n);
    e->p = number_from(0);
    e->q = number_copy(one);
    e->convergent = one;
    e->convergent_before = number_from(0);
    free(a);
    free(b);
}

static void expansion_free(struct expansion *e)
{
    struct number *numbers[] = {e->n, e->root,       e->p,
                                e->q, e->convergent, e->convergent_before};
    for (size_t i = 0; i < ARRAY_LENGTH(numbers); i++) {
        free(numbers[i]);
    }
}

static void expansion_step(struct expansion *e)
{
    struct number *sum = number_add(e->root, e->p);
    struct number *a = number_divide(sum, e->q, NULL);
    free(sum);

    struct number *product = number_multiply(a, e->q);
    replace(&e->p, number_subtract(product, e->p));
    free(product);

    struct number *square = number_multiply(e->p, e->p);
    struct number *left = number_subtract(e->n, square);
    replace(&e->q, number_divide(left, e->q, NULL));
    free(square);
    free(left);

    product = number_multiply(a, e->convergent);
    sum = number_add(product, e->convergent_before);
    free(product);
    free(a);
    struct number *next;
    free(number_divide(sum, e->n, &next));
    free(sum);
    free(e->convergent_before);
    e->convergent_before = e->convergent;
    e->convergent = next;
}

/* What is left of q without its small factors. */
static struct number *divide_out(const struct number *q)
{
    static const uint32_t primes[] = {2,  3,  5,  7,  11, 13, 17, 19,
                                      23, 29, 31, 37, 41, 43, 47, 53};
    struct number *left = number_copy(q);
    for (size_t i = 0; i < ARRAY_LENGTH(primes);) {
        uint32_t rest;
        struct number *quotient = divide_by_limb(left, primes[i], &rest);
        if (rest == 0 && quotient->limbs > 0) {
            replace(&left, quotient);
        } else {
            free(quotient);
            i++;
        }
    }
    return left;
}

/* Of 60 bits; about every tenth remainder is below it. */
static const uint64_t LITTLE = (uint64_t)1 << 48;

/* The latest relations stay alive: a ring of them. */
static void expand_root(const struct workload *workload, uint64_t steps)
{
    struct number **relations =
        bench_table(workload->count * sizeof relations[0]);
    size_t found = 0;
    struct expansion expansion;
    bench_begin();
    expansion_start(&expansion);
    for (uint64_t i = 0; i < steps; i++) {
        expansion_step(&expansion);
        struct number *left = divide_out(expansion.q);
        bench_digest(number_low(expansion.convergent) ^ number_low(left));
        if (number_low(left) < LITTLE) {
            replace(&relations[found++ % workload->count],
                    number_copy(expansion.convergent));
        }
        free(left);
    }
    expansion_free(&expansion);
    for (size_t i = 0; i < workload->count; i++) {
        free(relations[i]);
    }
    bench_end(steps);
    bench_digest(found);
}

static const struct workload workloads[] = {
    {"continued-fraction", CPU_TIME, 600000, 30000, expand_root, 8, 40, 2000,
     0},
};

int main(int argc, char **argv)
{
    return bench_main(workloads, ARRAY_LENGTH(workloads), argc, argv);
}
