/*
 * A handler of a signal frees a block whose size word was overwritten.
 *
 * expect: ptm: free(): destroyed size word: address ADDR, word WORD, arena 1
 */
#include "crime.h"

#include <signal.h>

static void *block;

static void free_it(int number)
{
    (void)number;
    free(suspect(block));
}

int main(void)
{
    block = malloc(24);
    use(malloc(24));
    forge_word(block, 0x4141414141414141);
    signal(SIGUSR1, free_it);
    raise(SIGUSR1);
    return 0;
}
