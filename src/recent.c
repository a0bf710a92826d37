#include "recent.h"

#include "options.h"
#include "os.h"

/* Oldest first. */
static struct {
    size_t count;
    size_t bytes;
    size_t earned;  /* what may be kept besides RECENT_ALONE */
    size_t lost;    /* bytes that had to go, in short order ... */
    uint64_t since; /* ... the last of them then, in milliseconds */
    struct mapping kept[RECENT_MAPPINGS];
} recent;

static void set_kept_count(size_t count)
{
    __atomic_store_n(&recent.count, count, __ATOMIC_RELAXED);
}

static struct mapping take_at(size_t at)
{
    struct mapping mapping = recent.kept[at];
    recent.bytes -= mapping.length;
    set_kept_count(recent.count - 1);
    for (size_t i = at; i < recent.count; i++) {
        recent.kept[i] = recent.kept[i + 1];
    }
    return mapping;
}

size_t recent_allowance(void)
{
    return RECENT_ALONE + recent.earned;
}

void recent_note_miss(size_t length)
{
    if (length == 0) {
        return;
    }
    if (recent.lost == 0 ||
        os_milliseconds() - recent.since > RETURN_TOO_SOON) {
        recent.lost = 0;
        return;
    }
    size_t missed = min_size(length, recent.lost);
    recent.lost -= missed;
    recent.earned = min_size(2 * recent.earned + missed + missed / 4,
                             option_get(OPTION_MAPPED_CACHE));
}

/* It had to go for want of room. */
static void note_lost(size_t length)
{
    uint64_t now = os_milliseconds();
    if (now - recent.since > RETURN_TOO_SOON) {
        recent.lost = 0;
    }
    recent.lost += min_size(length, SIZE_MAX - recent.lost);
    recent.since = now;
}

static void add_victim(struct victims *victims, struct mapping mapping)
{
    victims->mappings[victims->count++] = mapping;
}

void recent_expire(struct victims *victims)
{
    uint64_t now = recent.count > 0 ? os_milliseconds() : 0;
    while (recent.count > 0 &&
           now - recent.kept[0].since > option_get(OPTION_DECAY)) {
        recent.earned -= min_size(recent.earned, recent.kept[0].length);
        add_victim(victims, take_at(0));
    }
}

void recent_expire_all(struct victims *victims)
{
    while (recent.count > 0) {
        add_victim(victims, take_at(0));
    }
}

/* Takes out what lies right before or behind, and adds it. */
static struct mapping merge_neighbours(struct mapping mapping)
{
    for (size_t i = recent.count; i-- > 0;) {
        struct mapping other = recent.kept[i];
        if (other.start + other.length == mapping.start) {
            mapping.start = other.start;
        } else if (mapping.start + mapping.length != other.start) {
            continue;
        }
        mapping.length += take_at(i).length;
    }
    return mapping;
}

static bool may_stay(size_t length, size_t most)
{
    return recent.count < RECENT_MAPPINGS && recent.bytes <= most &&
           length <= most - recent.bytes;
}

/* The caller has made room. */
static void insert(struct mapping mapping)
{
    size_t at = recent.count;
    for (; at > 0 && recent.kept[at - 1].since > mapping.since; at--) {
        recent.kept[at] = recent.kept[at - 1];
    }
    recent.kept[at] = mapping;
    set_kept_count(recent.count + 1);
    recent.bytes += mapping.length;
}

void recent_keep(struct mapping mapping, size_t most, struct victims *victims)
{
    if (mapping.length <= most) {
        mapping = merge_neighbours(mapping);
    }
    if (mapping.length > most) {
        note_lost(mapping.length);
        add_victim(victims, mapping);
        return;
    }
    while (!may_stay(mapping.length, most)) {
        note_lost(recent.kept[0].length);
        add_victim(victims, take_at(0));
    }
    mapping.since = os_milliseconds();
    insert(mapping);
}

void recent_put_back(struct mapping mapping, size_t most,
                     struct victims *victims)
{
    if (may_stay(mapping.length, most)) {
        insert(mapping);
    } else {
        add_victim(victims, mapping);
    }
}

/* What is left when a mapping of `kept` bytes serves `length`; one that is too
 * small comes after all that hold it, the largest first. */
static size_t remainder_of(size_t kept, size_t length)
{
    return kept >= length ? kept - length : SIZE_MAX - kept;
}

/* Leaves the end of entry `at` where it is. */
static struct mapping take_start(size_t at, size_t length)
{
    struct mapping mapping = recent.kept[at];
    mapping.length = length;
    recent.kept[at].start += length;
    recent.kept[at].length -= length;
    recent.bytes -= length;
    return mapping;
}

struct mapping recent_take(size_t length)
{
    size_t best = RECENT_MAPPINGS;
    size_t least = SIZE_MAX;
    for (size_t i = 0; i < recent.count; i++) {
        size_t remainder = remainder_of(recent.kept[i].length, length);
        if (remainder < least) {
            best = i;
            least = remainder;
        }
    }
    if (best == RECENT_MAPPINGS) {
        return (struct mapping){0};
    }
    return recent.kept[best].length > length ? take_start(best, length)
                                             : take_at(best);
}

bool recent_take_behind(const char *start, size_t length)
{
    for (size_t i = 0; i < recent.count; i++) {
        struct mapping kept = recent.kept[i];
        if (kept.start == start && kept.length >= length) {
            if (kept.length > length) {
                take_start(i, length);
            } else {
                take_at(i);
            }
            return true;
        }
    }
    return false;
}

bool recent_has_any(void)
{
    return __atomic_load_n(&recent.count, __ATOMIC_RELAXED) > 0;
}

void recent_forget(void)
{
    set_kept_count(0);
    recent.bytes = 0;
    recent.earned = 0;
    recent.lost = 0;
}

const struct description recent_description[] = {
    DESCRIBE_ADDRESS("recent", &recent),
    DESCRIBE_PART("recent.count", __typeof(recent), count),
    DESCRIBE_PART("recent.kept", __typeof(recent), kept),
    DESCRIBE_NUMBER("RECENT", RECENT_MAPPINGS),
    DESCRIBE_NUMBER("kept.size", sizeof recent.kept[0]),
    DESCRIBE_PART("kept.start", struct mapping, start),
    DESCRIBE_PART("kept.length", struct mapping, length),
    {.name = ""},
};
