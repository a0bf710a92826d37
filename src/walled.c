#include "walled.h"

#include <string.h>

#include "fatal.h"
#include "os.h"
#include "seal.h"

/* A ring. */
static struct {
    struct mapping waiting[WALLED_WAITING];
    size_t next;
} ring;

static unsigned char slack_fill(const struct chunk *chunk)
{
    return (unsigned char)(seal_of(chunk, HARDEN_TWEAK) | 1);
}

static unsigned char *end_of_walled(const struct walled *walled)
{
    return (unsigned char *)walled->chunk + walled->length;
}

/* The end of the block's mapping is a page's, and so a multiple of the
 * alignment. */
struct walled walled_map(size_t alignment, size_t size)
{
    size_t page = os_page_size();
    size_t room = round_up(size, alignment);
    size_t inner = round_up(CHUNK_HEADER_SIZE + room, page);
    struct walled walled = {.chunk = NULL};
    ptm_assert(alignment <= page);
    char *first = os_map_fenced(inner);
    if (first == NULL) {
        return walled;
    }
    seal_prepare();
    walled.chunk = mem2chunk(first + inner - room);
    walled.length = CHUNK_HEADER_SIZE + room;
    walled.slack = room - size;
    memset(end_of_walled(&walled) - walled.slack, slack_fill(walled.chunk),
           walled.slack);
    return walled;
}

bool walled_is_sound(const struct walled *walled)
{
    const unsigned char *end = end_of_walled(walled);
    unsigned char fill = slack_fill(walled->chunk);
    for (const unsigned char *at = end - walled->slack; at < end; at++) {
        if (*at != fill) {
            return false;
        }
    }
    return true;
}

struct mapping walled_close(const struct walled *walled)
{
    size_t page = os_page_size();
    char *first = (char *)round_down((uintptr_t)walled->chunk, page);
    char *end = (char *)end_of_walled(walled);
    /* Where the kernel refuses, a use after free goes unnoticed. */
    if (!os_take_away(first, (size_t)(end - first))) {
        os_purge(first, (size_t)(end - first));
    }
    return (struct mapping){.start = first - page,
                            .length = (size_t)(end - first) + 2 * page};
}

static void push_out(struct mapping *place, struct victims *victims)
{
    if (place->length > 0) {
        victims->mappings[victims->count++] = *place;
    }
    place->length = 0;
}

void walled_wait(struct mapping mapping, struct victims *victims)
{
    struct mapping *place = &ring.waiting[ring.next++ % WALLED_WAITING];
    push_out(place, victims);
    *place = mapping;
}

void walled_wake_all(struct victims *victims)
{
    for (size_t i = 0; i < WALLED_WAITING; i++) {
        push_out(&ring.waiting[i], victims);
    }
}

void walled_forget(void)
{
    for (size_t i = 0; i < WALLED_WAITING; i++) {
        ring.waiting[i].length = 0;
    }
}
