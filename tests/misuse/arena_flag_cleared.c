/*
 * free of a block of a second arena whose size word has come to say that it is
 * of the main one.
 *
 * expect: ptm: free(): destroyed size word: address ADDR, word WORD, arena 2
 */
#include "crime.h"

#include "contention.h"

int main(void)
{
    if (!have_one_cpu()) {
        return 1;
    }
    have_had_a_second_thread();
    if (!attach_to_another_arena(PATIENCE_OF_TESTS)) {
        return 1;
    }
    void *block = malloc(24);
    use(malloc(24));
    forge_word(block, *word_before(block) ^ NON_MAIN_ARENA);
    free(suspect(block));
    return 0;
}
