/*
 * stats_json.h - the figures of the heap for programs: see ptm_stats_json in
 * <ptm.h>.
 *
 * The same figures as mallinfo2's, and each arena's. Arenas are looked at one
 * after the other, each under its lock. Allocates nothing, leaves errno alone.
 */
#ifndef PTM_STATS_JSON_H
#define PTM_STATS_JSON_H

#include "ptm.h"

#endif
