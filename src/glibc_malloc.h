/*
 * glibc_malloc.h - <malloc.h> and <mcheck.h> as glibc has them. Other C
 * libraries lack the parts that only glibc's malloc has; programs made for them
 * do not call those, and here is what it takes to compile them.
 */
#ifndef PTM_GLIBC_MALLOC_H
#define PTM_GLIBC_MALLOC_H

#include <malloc.h>
#include <stddef.h>

#ifdef __GLIBC__

#include <mcheck.h>

#else

enum mcheck_status {
    MCHECK_DISABLED = -1,
    MCHECK_OK,
    MCHECK_FREE,
    MCHECK_HEAD,
    MCHECK_TAIL,
};

#define M_TRIM_THRESHOLD (-1)
#define M_TOP_PAD        (-2)
#define M_MMAP_THRESHOLD (-3)
#define M_MMAP_MAX       (-4)
#define M_PERTURB        (-6)
#define M_ARENA_MAX      (-8)

struct mallinfo {
    int arena, ordblks, smblks, hblks, hblkhd;
    int usmblks, fsmblks, uordblks, fordblks, keepcost;
};

struct mallinfo2 {
    size_t arena, ordblks, smblks, hblks, hblkhd;
    size_t usmblks, fsmblks, uordblks, fordblks, keepcost;
};

void muntrace(void);
void mtrace(void);
int mcheck(void (*function)(enum mcheck_status status));
int mcheck_pedantic(void (*function)(enum mcheck_status status));
void mcheck_check_all(void);
enum mcheck_status mprobe(void *mem);

#endif

#endif
