/*
 * A crime in a program whose standard error cannot be written to.
 *
 * expect: nothing
 */
#include "crime.h"

#include <fcntl.h>

int main(void)
{
    void *block = malloc(24);
    use(malloc(24));
    free(block);
    int full = open("/dev/full", O_WRONLY);
    if (full < 0 || dup2(full, 2) != 2) {
        return 1;
    }
    free(block);
    return 0;
}
