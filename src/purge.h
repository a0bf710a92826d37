/*
 * purge.h - giving memory back to the kernel when asked to.
 */
#ifndef PTM_PURGE_H
#define PTM_PURGE_H

#include "base.h"

/* Returns the pages inside free chunks of all arenas, and of every top all
 * but `pad` bytes. True when the kernel got any. Takes one arena's lock at a
 * time. */
bool purge_everything(size_t pad);

#endif
