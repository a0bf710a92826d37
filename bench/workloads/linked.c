/*
 * linked - structures built, aged and walked.
 *
 * Where blocks lie is worth more than how fast they are had: a program walks
 * its lists and trees far more often than it builds them. Headers and odd
 * class sizes waste part of each cache line; an allocator that scatters
 * consecutive requests makes each step a miss.
 *
 *   list  a list is built while other blocks come and go, as always in
 *         practice; half of its nodes are then replaced; then it is walked
 *   tree  a binary search tree with random keys: insert, look up, remove
 *   hash  chains with a key string for each entry: two blocks an entry
 *
 * `amount` is the number of walks, or of look-ups in thousands.
 */
#include "bench.h"
#include "random.h"

enum { GARBAGE = 256 };

/* Blocks that come and go meanwhile. */
struct garbage {
    void *blocks[GARBAGE];
    struct dice dice;
};

static void garbage_stir(struct garbage *garbage)
{
    void **slot = &garbage->blocks[dice_below(&garbage->dice, GARBAGE)];
    free(*slot);
    *slot = block_new(dice_between(&garbage->dice, 8, 200), 1);
}

static void garbage_free(struct garbage *garbage)
{
    for (size_t i = 0; i < GARBAGE; i++) {
        free(garbage->blocks[i]);
    }
}

struct node {
    struct node *next;
    uint64_t value;
    uint64_t payload[2];
};

static struct node *node_new(uint64_t value, struct node *next)
{
    struct node *node = block_require(malloc(sizeof *node));
    node->next = next;
    node->value = value;
    return node;
}

static struct node *list_build(size_t count, struct garbage *garbage)
{
    struct node *list = NULL;
    for (size_t i = 0; i < count; i++) {
        list = node_new(i, list);
        garbage_stir(garbage);
    }
    return list;
}

static void list_replace_every_second(struct node *list)
{
    for (; list != NULL && list->next != NULL; list = list->next) {
        struct node *old = list->next;
        list->next = node_new(old->value, old->next);
        free(old);
        list = list->next;
    }
}

static uint64_t list_sum(const struct node *list)
{
    uint64_t sum = 0;
    for (; list != NULL; list = list->next) {
        sum = sum * 3 + list->value;
    }
    return sum;
}

static void list_free(struct node *list)
{
    while (list != NULL) {
        struct node *next = list->next;
        free(list);
        list = next;
    }
}

static void walk_list(const struct workload *workload, uint64_t amount)
{
    struct garbage garbage = {.dice = {1}};
    bench_begin();
    struct node *list = list_build(workload->count, &garbage);
    list_replace_every_second(list);
    for (uint64_t i = 0; i < amount; i++) {
        bench_digest(list_sum(list));
    }
    list_free(list);
    garbage_free(&garbage);
    bench_end(amount * workload->count);
}

struct leaf {
    struct leaf *child[2];
    uint64_t key;
};

/* The link that points to the key, or would. */
static struct leaf **tree_find(struct leaf **link, uint64_t key)
{
    while (*link != NULL && (*link)->key != key) {
        link = &(*link)->child[key > (*link)->key];
    }
    return link;
}

static void tree_insert(struct leaf **root, uint64_t key)
{
    struct leaf **link = tree_find(root, key);
    if (*link == NULL) {
        *link = block_require(calloc(1, sizeof **link));
        (*link)->key = key;
    }
}

/* The next larger key takes the place of one with two children. */
static void tree_remove(struct leaf **root, uint64_t key)
{
    struct leaf **link = tree_find(root, key);
    struct leaf *leaf = *link;
    if (leaf == NULL) {
        return;
    }
    if (leaf->child[0] != NULL && leaf->child[1] != NULL) {
        link = &leaf->child[1];
        while ((*link)->child[0] != NULL) {
            link = &(*link)->child[0];
        }
        leaf->key = (*link)->key;
        leaf = *link;
    }
    *link = leaf->child[leaf->child[0] == NULL];
    free(leaf);
}

static void work_on_tree(const struct workload *workload, uint64_t amount)
{
    struct leaf *root = NULL;
    struct dice dice = {2};
    size_t keys = 2 * workload->count;
    uint64_t sum = 0;
    bench_begin();
    for (size_t i = 0; i < workload->count; i++) {
        tree_insert(&root, dice_below(&dice, keys));
    }
    for (uint64_t i = 0; i < amount * 1000; i++) {
        sum += *tree_find(&root, dice_below(&dice, keys)) != NULL;
        if (i % 4 == 0) {
            tree_remove(&root, dice_below(&dice, keys));
            tree_insert(&root, dice_below(&dice, keys));
        }
    }
    while (root != NULL) {
        tree_remove(&root, root->key);
    }
    bench_end(amount * 1000);
    bench_digest(sum);
}

struct entry {
    struct entry *next;
    char *key;
    uint64_t value;
};

/* 8 to 40 bytes, the number in front. */
static char *key_new(uint64_t number)
{
    size_t length = 8 + number * 7 % 33;
    char *key = block_require(malloc(length));
    memset(key, 'k', length);
    memcpy(key, &number, sizeof number);
    return key;
}

static struct entry **hash_find(struct entry **buckets, size_t count,
                                uint64_t number)
{
    struct dice mix = {number};
    struct entry **link = &buckets[dice_below(&mix, count)];
    while (*link != NULL && memcmp((*link)->key, &number, 8) != 0) {
        link = &(*link)->next;
    }
    return link;
}

/* Adds the number if it is not there, removes it if it is. */
static void hash_toggle(struct entry **buckets, size_t count, uint64_t number)
{
    struct entry **link = hash_find(buckets, count, number);
    struct entry *entry = *link;
    if (entry != NULL) {
        *link = entry->next;
        free(entry->key);
        free(entry);
        return;
    }
    entry = block_require(malloc(sizeof *entry));
    entry->next = NULL;
    entry->key = key_new(number);
    entry->value = number;
    *link = entry;
}

static void work_on_hash(const struct workload *workload, uint64_t amount)
{
    size_t count = workload->count, keys = 2 * count;
    struct entry **buckets = bench_table(count * sizeof buckets[0]);
    struct dice dice = {3};
    uint64_t sum = 0;
    bench_begin();
    for (size_t i = 0; i < count; i++) {
        hash_toggle(buckets, count, dice_below(&dice, keys));
    }
    for (uint64_t i = 0; i < amount * 1000; i++) {
        struct entry *entry =
            *hash_find(buckets, count, dice_below(&dice, keys));
        sum += entry == NULL ? 1 : entry->value;
        if (i % 4 == 0) {
            hash_toggle(buckets, count, dice_below(&dice, keys));
        }
    }
    for (size_t i = 0; i < count; i++) {
        while (buckets[i] != NULL) {
            uint64_t number = buckets[i]->value;
            hash_toggle(buckets, count, number);
        }
    }
    bench_end(amount * 1000);
    bench_digest(sum);
}

static const struct workload workloads[] = {
    {"list", CPU_TIME, 20, 1, walk_list, 0, 0, 400000, 0},
    {"tree", CPU_TIME, 300, 20, work_on_tree, 0, 0, 100000, 0},
    {"hash", CPU_TIME, 2000, 50, work_on_hash, 0, 0, 100000, 0},
};

int main(int argc, char **argv)
{
    return bench_main(workloads, ARRAY_LENGTH(workloads), argc, argv);
}
