/*
 * settings.h - where options come from before a program runs.
 *
 *     weakest   the program's own symbol ptm_options (see <ptm.h>)
 *               /etc/ptm.conf
 *               glibc's variables: MALLOC_ARENA_MAX, MALLOC_TOP_PAD_, ...
 *               GLIBC_TUNABLES: glibc.malloc.arena_max=4:...
 *     strongest PTM_OPTIONS
 *
 * All are comma lists of key=value, but for glibc's. The file has one list a
 * line; what follows a line "[name]" is for the programs whose file has that
 * name, or that path. The environment belongs to the caller, so in a
 * set-user-ID program it is not looked at; the file is the administrator's, and
 * is.
 *
 * Read once, by the thread that starts the process: nothing is allocated, and
 * files are read by the system calls of os.h.
 */
#ifndef PTM_SETTINGS_H
#define PTM_SETTINGS_H

#include "base.h"

/* Reads them all; unknown keys and bad values are named on standard error,
 * with the place where they stand. Does nothing when the environment is not
 * there yet, and says so by returning false. */
bool settings_read(void);

#endif
