/*
 * life.h - the beginning and the end of processes and threads.
 *
 * Nothing is done before the first allocation, which comes from the dynamic
 * loader before any constructor has run: data is statically initialised, and
 * a thread that has not allocated yet simply has no arena.
 *
 *     process   options from the environment; a pthread key
 *     thread    its value for the key is set, so that its end is noticed. The
 *               second one also arms the watch for forks.
 *     end of    the key's destructor: after C++'s thread_local destructors,
 *     a thread  before the C library frees what it keeps for the thread. What
 *               is allocated after that is served without attachment.
 *     fork      the helper pauses; no lock is waited for. The child repairs
 *               (see lock.h) in a handler of fork; or, where none has run, who
 *               would wait for a lock, or is about to make a second thread. By
 *               then others may hold locks that are none of the lost threads'.
 */
#ifndef PTM_LIFE_H
#define PTM_LIFE_H

#include "base.h"

/* Called when a thread that is new allocates; holds no lock. */
void life_start_thread(void);

/* This thread is about to make another. */
void life_before_thread(void);

#endif
