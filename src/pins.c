#include "pins.h"

#include "block.h"
#include "os.h"

/* ---- in runs --------------------------------------------------------------
 */

static bool is_live(const struct run *run, const char *object)
{
    return !run_has_free(run, run->size_class, object) &&
           !object_is_marked(object);
}

/* The share of one object in what is free in a quarter that it lies in. */
static double share_in_quarter(const struct run *run, size_t quarter)
{
    size_t size = class_size(run->size_class);
    size_t from = quarter * RUN_QUARTER;
    size_t to = from + RUN_QUARTER;
    size_t free_bytes = 0;
    size_t live = 0;
    for (size_t i = from / size; i < run->objects && i * size < to; i++) {
        const char *object = run->start + i * size;
        if (run_has_free(run, run->size_class, object)) {
            free_bytes +=
                min_size((i + 1) * size, to) - max_size(i * size, from);
        } else {
            live += is_live(run, object);
        }
    }
    return (double)free_bytes / (double)max_size(live, 1);
}

static double pins_in_run(const void *mem)
{
    const struct run *run = heap_run_of(mem);
    size_t first = run_offset(mem) / RUN_QUARTER;
    size_t last =
        (run_offset(mem) + class_size(run->size_class) - 1) / RUN_QUARTER;
    double sum = 0;
    for (size_t quarter = first; quarter <= last; quarter++) {
        sum += share_in_quarter(run, quarter);
    }
    return sum;
}

/* ---- between chunks -------------------------------------------------------
 */

/* Of the free bytes [from, to) on a page, which are shared if they begin and
 * end inside of it. */
static double share_of(uintptr_t from, uintptr_t to, uintptr_t page)
{
    uintptr_t end = page + os_page_size();
    bool is_shared = from > page && to < end;
    uintptr_t start = max_size(from, page);
    uintptr_t stop = min_size(to, end);
    return stop > start ? (double)(stop - start) / (is_shared ? 2 : 1) : 0;
}

static double pins_before(const struct chunk *chunk)
{
    uintptr_t start = (uintptr_t)chunk;
    return chunk_prev_inuse(chunk)
               ? 0
               : share_of((uintptr_t)chunk_previous(chunk), start,
                          round_down(start, os_page_size()));
}

static double pins_behind(const struct chunk *chunk)
{
    const struct chunk *next = chunk_next(chunk);
    uintptr_t end = (uintptr_t)next;
    return chunk_is_free(next) ? share_of(end, end + chunk_size(next),
                                          round_down(end - 1, os_page_size()))
                               : 0;
}

double pins_of(const void *mem)
{
    const struct chunk *chunk = mem2chunk(mem);
    return block_run_class(mem) != 0 ? pins_in_run(mem)
                                     : pins_before(chunk) + pins_behind(chunk);
}
