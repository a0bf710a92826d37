#include "owner.h"

#include "os.h"

PTM_SPARSE uint8_t heap_tag[OWNER_SLOTS];

/* Where huge pages are always on, one tag would cost 2 MiB. */
void owner_prepare(void)
{
    size_t page = os_page_size();
    uintptr_t start = round_up((uintptr_t)heap_tag, page);
    uintptr_t end = round_down((uintptr_t)heap_tag + sizeof heap_tag, page);
    os_avoid_huge_pages((void *)start, end - start);
}
