#include "number.h"

#include <stdlib.h>
#include <string.h>

uint64_t bytes_in(const char *word)
{
    static const char units[] = "kmg";
    char *end;
    uint64_t number = strtoull(word, &end, 10);
    const char *unit = *end != '\0' ? strchr(units, *end | 0x20) : NULL;

    if (number >> 40 != 0)
        return 0;
    if (unit != NULL) {
        number <<= 10 * (unit - units + 1);
        end++;
    }
    return *word >= '0' && *word <= '9' && *end == '\0' && number >> 40 == 0
               ? number
               : 0;
}
