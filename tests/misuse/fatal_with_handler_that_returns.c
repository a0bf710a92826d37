/*
 * A crime in a program that handles SIGABRT and goes on: it ends all the same.
 *
 * expect: ptm: free(): double free: address ADDR, size 24, arena 1
 * expect hardened: ptm: free(): double free: address ADDR, size 40, arena 1
 */
#include "crime.h"

#include <signal.h>

static void do_nothing(int signal_number)
{
    (void)signal_number;
}

int main(void)
{
    void *block = malloc(24);
    use(malloc(24));
    free(block);
    signal(SIGABRT, do_nothing);
    free(suspect(block));
    return 0;
}
