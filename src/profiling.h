/*
 * profiling.h - profiles as a program asks for them, and as files: see
 * ptm_profile_start in <ptm.h>.
 *
 * A file is written by whoever asks for it, or at the end of a process that was
 * started with the option `profile`: then to ptm.PID.pb in the directory that
 * it is in by that time. The memory that this takes is the kernel's. Locks are
 * held for a sample at a time, so figures of different stacks are not of the
 * same moment.
 */
#ifndef PTM_PROFILING_H
#define PTM_PROFILING_H

#include "ptm.h"

#endif
