#define _GNU_SOURCE
#include "profiling.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "block.h"
#include "fatal.h"
#include "options.h"
#include "os.h"
#include "owner.h"
#include "pins.h"
#include "pprof.h"
#include "profile.h"

_Static_assert((int)PPROF_FRAMES >= (int)PROFILE_DEPTH, "stacks are whole");

/* All that is needed for one file; of the kernel's memory, zero at first. */
struct dump {
    int file;
    size_t frames;
    struct pprof pprof;
    char line[PPROF_PART];
};

/* ---- on and off -----------------------------------------------------------
 */

PTM_EXPORT int ptm_profile_start(size_t mean)
{
    return profile_start(mean != 0 ? mean : DEFAULT_PROFILE) ? 0 : ENOMEM;
}

PTM_EXPORT void ptm_profile_stop(void)
{
    profile_stop();
}

/* ---- what is in a file ----------------------------------------------------
 */

static bool write_all(void *to, const void *bytes, size_t size)
{
    const struct dump *dump = to;
    const char *at = bytes;
    while (size > 0) {
        ssize_t written = write(dump->file, at, size);
        if (written < 0 && errno != EINTR) {
            return false;
        }
        at += written > 0 ? written : 0;
        size -= written > 0 ? (size_t)written : 0;
    }
    return true;
}

/* Functions are named by the files of the mappings, while these are read. */
static void write_mappings(struct dump *dump)
{
    char bytes[1024];
    size_t length = 0;
    int maps = os_open_file("/proc/self/maps");
    size_t got = maps >= 0 ? os_read_file(maps, bytes, sizeof bytes) : 0;
    while (got > 0) {
        for (size_t i = 0; i < got; i++) {
            if (bytes[i] == '\n') {
                pprof_add_mapping(&dump->pprof, dump->line, length);
                length = 0;
            } else if (length < sizeof dump->line) {
                dump->line[length++] = bytes[i];
            }
        }
        got = os_read_file(maps, bytes, sizeof bytes);
    }
    if (maps >= 0) {
        os_close_file(maps);
    }
    pprof_add_other_locations(&dump->pprof);
}

static void count_frames(struct profile_stack *stack, void *data)
{
    struct dump *dump = data;
    dump->frames += stack->depth;
    stack->pinned_bytes = 0;
}

static void add_pins(const struct profile_sample *sample,
                     struct profile_stack *stack, void *data)
{
    const void *mem = (const void *)sample->mem;
    (void)data;
    if (owner_of(mem) != 0 &&
        heap_contains(heap_for_ptr(mem), mem2chunk(mem))) {
        stack->pinned_bytes += sample->weight * pins_of(mem);
    }
}

/* A stack that came after the frames were counted is in the next file. */
static bool fits_in_set(struct dump *dump, const struct profile_stack *stack)
{
    dump->frames += stack->depth;
    return 2 * dump->frames <= dump->pprof.count;
}

static void collect(struct profile_stack *stack, void *data)
{
    struct dump *dump = data;
    if (fits_in_set(dump, stack)) {
        pprof_collect(&dump->pprof, stack->frames, stack->depth);
    }
}

static void write_sample(struct profile_stack *stack, void *data)
{
    struct dump *dump = data;
    const double values[PPROF_VALUES] = {
        [PPROF_ALLOC_OBJECTS] = stack->allocated_count,
        [PPROF_ALLOC_SPACE] = stack->allocated_bytes,
        [PPROF_INUSE_OBJECTS] = stack->live_count,
        [PPROF_INUSE_SPACE] = stack->live_bytes,
        [PPROF_PINNED_SPACE] = stack->pinned_bytes,
    };
    if (fits_in_set(dump, stack)) {
        pprof_add_sample(&dump->pprof, stack->frames, stack->depth, values);
    }
}

/* ---- a file ---------------------------------------------------------------
 */

/* Room for all addresses, and for as many that come meanwhile. */
static size_t slots_for(size_t frames)
{
    return (size_t)1 << (highest_bit(4 * frames + 512) + 1);
}

static bool write_dump(struct dump *dump, uint64_t *addresses, size_t slots)
{
    struct pprof *pprof = &dump->pprof;
    size_t mean = __atomic_load_n(&profile_switch.mean, __ATOMIC_RELAXED);
    pprof->write = write_all;
    pprof->to = dump;
    pprof_begin(pprof, addresses, slots, mean);
    dump->frames = 0;
    profile_visit_stacks(collect, dump);
    pprof_sort(pprof);
    write_mappings(dump);
    dump->frames = 0;
    profile_visit_stacks(write_sample, dump);
    return pprof_end(pprof);
}

/* 0, or errno's number. */
static int dump_to(int file)
{
    size_t page = os_page_size();
    size_t size = round_up(sizeof(struct dump), page);
    struct dump *dump = os_map(size);
    if (dump == NULL) {
        return ENOMEM;
    }
    dump->file = file;
    profile_visit_stacks(count_frames, dump);
    profile_visit_samples(add_pins, dump);
    size_t slots = slots_for(dump->frames);
    size_t bytes = round_up(PPROF_ROOM(slots), page);
    uint64_t *addresses = os_map(bytes);
    int result = ENOMEM;
    if (addresses != NULL) {
        result = write_dump(dump, addresses, slots) ? 0 : errno;
        os_unmap(addresses, bytes);
    }
    os_unmap(dump, size);
    return result;
}

/* One at a time, as the sums of what is pinned are with the stacks. */
PTM_EXPORT int ptm_profile_dump(const char *path)
{
    if (!profile_begin_dump()) {
        return EBUSY;
    }
    int saved = errno;
    int file =
        open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    int result = file >= 0 ? dump_to(file) : errno;
    if (file >= 0 && close(file) != 0 && result == 0) {
        result = errno;
    }
    errno = saved;
    profile_end_dump();
    return result;
}

/* ---- the end of the process -----------------------------------------------
 */

/* "ptm.PID.pb" */
static void name_file(struct message *name)
{
    message_start(name);
    message_text(name, "ptm.");
    message_number(name, os_process());
    message_text(name, ".pb");
    name->text[name->length] = '\0';
}

__attribute__((destructor)) static void dump_at_exit(void)
{
    struct message message;
    if (option_get(OPTION_PROFILE) == 0 || os_is_secure()) {
        return;
    }
    name_file(&message);
    int result = ptm_profile_dump(message.text);
    if (result != 0) {
        message_start(&message);
        message_text(&message, "ptm: no profile written: errno ");
        message_number(&message, (size_t)result);
        message_write(&message);
    }
}
