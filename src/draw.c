#include "draw.h"

#include "os.h"

PTM_TLS uint64_t draw_state;

/* What the kernel gives where it has nothing else is the same for all
 * threads. */
PTM_COLD uint64_t draw_first_state(void)
{
    uint64_t drawn[2];
    os_random_bytes(drawn);
    uint64_t state = drawn[0] ^ (uintptr_t)&draw_state;
    return state != 0 ? state : drawn[1] | 1;
}

void draw_after_fork(void)
{
    draw_state = 0;
}
