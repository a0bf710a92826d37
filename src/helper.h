/*
 * helper.h - the thread that gives memory back while the program is idle.
 *
 * It is started when the program makes its first thread, after that thread and
 * outside of malloc, by the same means; so libc knows it: setuid and its like
 * reach it. It makes a pass of the purge (purge.h) every half of a decay for as
 * long as there is anything to give back, and else sleeps without waking
 * (bell.h). It allocates nothing, its signals are blocked, its stack is small.
 *
 * What a program must not notice of it:
 *
 *     fork       is not done while the helper makes a step, if that can be
 *                had soon; so it is not found in the middle of one. The child
 *                has no helper until it makes a thread itself. That holds for
 *                a bare clone too; a child of vfork leaves its parent's alone.
 *     exit       ends it.
 *     the end of main    a process whose main thread has called pthread_exit
 *                ends with its last thread. So the helper ends with the main
 *                thread, and is not started again.
 *     unshare, setns, capset    work, or work as they should, only in a process
 *                with one thread. So the helper ends before, and comes again
 *                with the next thread that the program makes.
 *     a sandbox  holds for the thread that enters it, and for those it makes.
 * So the same for prctl where it sets no_new_privs, without which nobody but
 * root may set a filter of system calls.
 *
 * The option `helper` says whether there may be one.
 */
#ifndef PTM_HELPER_H
#define PTM_HELPER_H

#include <pthread.h>

#include "base.h"

typedef int thread_maker(pthread_t *thread, const pthread_attr_t *attributes,
                         void *(*start)(void *), void *argument);

/* Starts it with the given pthread_create, if there is none and may be one. If
 * that fails there is none: whoever makes slow calls does its work then. */
void helper_start(thread_maker *make);

/* Ends it, if there is one, and waits until it is gone. The caller holds no
 * lock. */
void helper_stop(void);

/* The same, for good: the main thread ends. */
void helper_stop_for_ever(void);

/* In the child of a fork. */
void helper_after_fork(void);

#endif
