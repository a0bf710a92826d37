#include "tags.h"

#include "os.h"

PTM_SPARSE uint16_t tags[TAGS];
size_t tags_start;
bool tags_common[TAG_COMMON];

/* Where huge pages are always on, one tag would cost 2 MiB. */
static void avoid_huge_pages(void)
{
    size_t page = os_page_size();
    uintptr_t start = round_up((uintptr_t)tags, page);
    uintptr_t end = round_down((uintptr_t)tags + sizeof tags, page);
    os_avoid_huge_pages((void *)start, end - start);
}

void tags_make_common(unsigned number)
{
    __atomic_store_n(&tags_common[number], true, __ATOMIC_RELAXED);
}

/* Of two threads that make the first heap at once one sets it. */
void tags_prepare(const void *heap)
{
    size_t none = 0;
    size_t here = (uintptr_t)heap;
    size_t start = here > TAGS_BELOW ? here - TAGS_BELOW : HEAP_MAX_SIZE;
    if (__atomic_compare_exchange_n(&tags_start, &none, start, false,
                                    __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
        avoid_huge_pages();
    }
}

static void store_tag(size_t place, unsigned tag)
{
    __atomic_store_n(&tags[place], (uint16_t)tag, __ATOMIC_RELAXED);
}

void tags_set(const void *page, const uint8_t *bytes, size_t count,
              unsigned owner)
{
    size_t place = tags_place(page);
    for (size_t i = 0; i < count && place < TAGS; i++, place++) {
        unsigned tag = owner != 0 ? tag_of(owner, bytes[i]) : 0;
        if (tag_at(place) != tag) {
            store_tag(place, tag);
        }
    }
}

void tags_set_byte(const void *page, unsigned byte)
{
    size_t place = tags_place(page);
    if (place < TAGS && tag_at(place) != 0) {
        store_tag(place, tag_of(tag_owner(tag_at(place)), byte));
    }
}
