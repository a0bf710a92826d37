/*
 * control.h - options at run time, by name: see ptm_option_get and
 * ptm_option_set in <ptm.h>.
 *
 * Thread-safe, not async-signal-safe; allocates nothing, leaves errno alone.
 */
#ifndef PTM_CONTROL_H
#define PTM_CONTROL_H

#include "ptm.h"

#endif
