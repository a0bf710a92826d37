/*
 * house_of_gods: the fields of an arena are taken for a chunk, so that malloc
 * hands the arena out. Here the arena's pages are found by the links that lead
 * there, if there are any.
 */
#include "technique.h"

/* Whether the address lies in a writable part of the allocator's own data. */
static int leads_to_library(uint64_t word)
{
    char line[512];
    FILE *maps = fopen("/proc/self/maps", "r");
    int leads = 0;
    while (maps != NULL && fgets(line, sizeof line, maps) != NULL) {
        unsigned long start, end;
        if (sscanf(line, "%lx-%lx rw", &start, &end) == 2 &&
            strstr(line, "libptm") != NULL) {
            leads |= word >= start && word < end;
        }
    }
    return leads;
}

int main(void)
{
    void *a = malloc(CHUNKED);
    malloc(CHUNKED);
    void *b = malloc(CHUNKED);
    malloc(CHUNKED);
    free_for_good(a);
    free_for_good(b);
    uint64_t leaked[4] = {*word_of(a, 0), *word_of(a, 1), *word_of(b, 0),
                          *word_of(b, 1)};
    for (int i = 0; i < 4; i++) {
        if (leads_to_library(leaked[i])) {
            succeeds("a freed block tells where the arena is");
        }
    }
    *word_of(a, NEXT) = leaked[2];
    *word_of(b, NEXT) = leaked[0];
    for (int i = 0; i < 40; i++) {
        malloc(CHUNKED);
    }
    fails();
}
