#include "bell.h"

#include "os.h"

uint32_t bell = BELL_AWAKE;
bool bell_helper;

PTM_COLD void bell_wake(void)
{
    uint32_t asleep = BELL_ASLEEP;
    if (__atomic_compare_exchange_n(&bell, &asleep, BELL_AWAKE, false,
                                    __ATOMIC_SEQ_CST, __ATOMIC_RELAXED)) {
        os_wake_one(&bell);
    }
}
