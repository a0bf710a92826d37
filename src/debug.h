/*
 * debug.h - the debugging aids of older C libraries: mtrace, mcheck, and the
 * hooks __malloc_hook and its siblings.
 *
 * All are made of ptm_set_hooks, one at a time: each takes the place of the one
 * before. They are in libptm.so only.
 *
 *   mtrace    writes a line for every call to the file that MALLOC_TRACE names,
 *             as the script mtrace(1) reads them. Each line is one write(2), so
 *             that nothing is lost in a crash.
 *   mcheck    ptm checks what it meets in any case; this adds mprobe, which
 * asks about one block, mcheck_check_all, which walks the heap, and, by
 *             mcheck_pedantic, that walk before every call.
 *   hooks     a function pointer that can be written is what an attacker looks
 *             for. So __malloc_hook and the others are there, and nobody looks
 *             at them, unless the option malloc_hooks is set.
 */
#ifndef PTM_DEBUG_H
#define PTM_DEBUG_H

#include "hooks.h"

#endif
