/*
 * os_cgroup.c - what the kernel allows this process, as /proc and /sys tell:
 * CPUs and memory, and huge pages.
 *
 * A process is in one folder of the unified hierarchy (v2), or in one of each
 * controller's own (v1), and the limits of all folders above bind it as well.
 * In a container the path may name a folder that is not visible; the root that
 * is visible is then the container's own. What cannot be read, or is no number,
 * is no limit.
 */
#include <string.h>

#include "os.h"

enum {
    PATH_LENGTH = 512,
    CGROUP_LINE = PATH_LENGTH + 64, /* numbers and controllers before a path */
    NUMBER_LENGTH = 64,
    PIECE_LENGTH = 256,
};

static const char CGROUP[] = "/proc/self/cgroup";

/* ---- files ----------------------------------------------------------------
 */

/* A file that is read in pieces: whoever has called malloc may have a small
 * stack. */
struct lines {
    int file;
    size_t at;
    size_t length;
    char bytes[PIECE_LENGTH];
};

static bool lines_open(struct lines *lines, const char *path)
{
    lines->file = os_open_file(path);
    lines->at = lines->length = 0;
    return lines->file >= 0;
}

static void lines_close(struct lines *lines)
{
    os_close_file(lines->file);
}

/* The next byte, or '\0' at the end. */
static char next_char(struct lines *lines)
{
    if (lines->at == lines->length) {
        lines->at = 0;
        lines->length =
            os_read_file(lines->file, lines->bytes, sizeof lines->bytes);
    }
    return lines->at < lines->length ? lines->bytes[lines->at++] : '\0';
}

/* The next line, as a string; one that does not fit is passed over. False when
 * there is none. */
static bool lines_next(struct lines *lines, char *line, size_t capacity)
{
    char c;
    do {
        size_t length = 0;
        for (c = next_char(lines); c != '\0' && c != '\n';
             c = next_char(lines)) {
            line[length < capacity ? length : capacity - 1] = c;
            length++;
        }
        if (length < capacity && (length > 0 || c == '\n')) {
            line[length] = '\0';
            return true;
        }
    } while (c == '\n');
    return false;
}

/* The first line; false when it cannot be read. */
static bool first_line(const char *path, char *line, size_t capacity)
{
    struct lines lines;
    if (!lines_open(&lines, path)) {
        return false;
    }
    bool is_there = lines_next(&lines, line, capacity);
    lines_close(&lines);
    return is_there;
}

/* The decimal number that *text begins with, moving past it and the blanks
 * behind it; false when there is none ("max", "-1"). One that is too large is
 * the largest. */
static bool read_number(const char **text, uint64_t *number)
{
    const char *at = *text;
    if (*at < '0' || *at > '9') {
        return false;
    }
    *number = 0;
    for (; *at >= '0' && *at <= '9'; at++) {
        if (__builtin_mul_overflow(*number, 10, number) ||
            __builtin_add_overflow(*number, (uint64_t)(*at - '0'), number)) {
            *number = UINT64_MAX;
        }
    }
    while (*at == ' ') {
        at++;
    }
    *text = at;
    return true;
}

/* A folder of a hierarchy. */
struct folder {
    const char *root;
    const char *path;
};

/* The path of a file in it; false when it does not fit. */
static bool join_path(char *path, struct folder folder, const char *name)
{
    const char *const parts[] = {folder.root, folder.path, "/", name};
    size_t length = 0;
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        size_t part = strlen(parts[i]);
        if (length + part >= PATH_LENGTH) {
            return false;
        }
        memcpy(path + length, parts[i], part + 1);
        length += part;
    }
    return true;
}

static bool open_in_folder(struct lines *lines, struct folder folder,
                           const char *name)
{
    char path[PATH_LENGTH];
    return join_path(path, folder, name) && lines_open(lines, path);
}

/* The numbers that a file of the folder begins with, up to two. */
static bool numbers_in_folder(struct folder folder, const char *name,
                              uint64_t *first, uint64_t *second)
{
    struct lines lines;
    char text[NUMBER_LENGTH];
    const char *at = text;
    if (!open_in_folder(&lines, folder, name)) {
        return false;
    }
    bool is_there = lines_next(&lines, text, sizeof text) &&
                    read_number(&at, first) &&
                    (second == NULL || read_number(&at, second));
    lines_close(&lines);
    return is_there;
}

static bool number_in_folder(struct folder folder, const char *name,
                             uint64_t *number)
{
    return numbers_in_folder(folder, name, number, NULL);
}

/* The number of a line that is that key and a number; else 0. */
static uint64_t number_of_key(const char *line, const char *key)
{
    size_t length = strlen(key);
    uint64_t number = 0;
    const char *at = line + length + 1;
    bool is_it = strncmp(line, key, length) == 0 && line[length] == ' ';
    return is_it && read_number(&at, &number) ? number : 0;
}

/* ---- hierarchies ----------------------------------------------------------
 */

/* What is asked of each folder that the process is in. */
struct question {
    const char *controller; /* of v1, which is also its folder's name */
    void (*ask)(struct folder folder, bool is_v2, void *answer);
    void *answer;
};

/* Of `path` and all above it, which is wasted on the way. */
static void ask_upwards(const struct question *question, const char *root,
                        char *path, bool is_v2)
{
    for (;;) {
        question->ask((struct folder){root, path}, is_v2, question->answer);
        char *slash = strrchr(path, '/');
        if (slash == NULL) {
            return;
        }
        *slash = '\0';
    }
}

/* True when the comma list of v1 controllers, which ends at `end`, has this. */
static bool lists_controller(const char *list, const char *end,
                             const char *name)
{
    while (list < end) {
        const char *comma = memchr(list, ',', (size_t)(end - list));
        const char *stop = comma != NULL ? comma : end;
        if ((size_t)(stop - list) == strlen(name) &&
            memcmp(list, name, strlen(name)) == 0) {
            return true;
        }
        list = stop + 1;
    }
    return false;
}

static void ask_controller(const struct question *question, char *path)
{
    static const char mounts[] = "/sys/fs/cgroup/";
    char root[sizeof mounts + 16];
    memcpy(root, mounts, sizeof mounts);
    memcpy(root + sizeof mounts - 1, question->controller,
           strlen(question->controller) + 1);
    ask_upwards(question, root, path, false);
}

/* One line of /proc/self/cgroup is "ID:controllers:path"; the controllers of
 * the one v2 line are empty. */
static void ask_line(const struct question *question, char *line)
{
    char *list = strchr(line, ':');
    char *list_end = list != NULL ? strchr(list + 1, ':') : NULL;
    if (list_end == NULL) {
        return;
    }
    if (list + 1 == list_end) {
        ask_upwards(question, "/sys/fs/cgroup", list_end + 1, true);
    } else if (lists_controller(list + 1, list_end, question->controller)) {
        ask_controller(question, list_end + 1);
    }
}

static void ask_all(const struct question *question)
{
    struct lines lines;
    char line[CGROUP_LINE];
    if (!lines_open(&lines, CGROUP)) {
        return;
    }
    while (lines_next(&lines, line, sizeof line)) {
        ask_line(question, line);
    }
    lines_close(&lines);
}

/* ---- CPUs -----------------------------------------------------------------
 */

static bool read_quota(struct folder folder, bool is_v2, uint64_t *quota,
                       uint64_t *period)
{
    if (is_v2) {
        return numbers_in_folder(folder, "cpu.max", quota, period);
    }
    return number_in_folder(folder, "cpu.cfs_quota_us", quota) &&
           number_in_folder(folder, "cpu.cfs_period_us", period);
}

static void ask_quota(struct folder folder, bool is_v2, void *answer)
{
    unsigned *least = answer;
    uint64_t quota, period;
    if (!read_quota(folder, is_v2, &quota, &period) || quota == 0 ||
        period == 0) {
        return;
    }
    uint64_t cpus = quota / period + (quota % period != 0);
    *least = cpus < *least ? (unsigned)cpus : *least;
}

unsigned os_cpu_limit(void)
{
    unsigned quota = UINT32_MAX;
    ask_all(&(struct question){"cpu", ask_quota, &quota});
    unsigned cpus = os_affinity_count();
    cpus = quota < cpus ? quota : cpus;
    return cpus > 0 ? cpus : 1;
}

/* ---- memory ---------------------------------------------------------------
 */

/* What is cached of files goes before anybody is stopped. */
static uint64_t cached_files(struct folder folder, bool is_v2)
{
    static const char keys[2][2][24] = {
        {"total_inactive_file", "total_active_file"},
        {"inactive_file", "active_file"},
    };
    struct lines lines;
    char line[NUMBER_LENGTH];
    uint64_t bytes = 0;
    if (!open_in_folder(&lines, folder, "memory.stat")) {
        return 0;
    }
    while (lines_next(&lines, line, sizeof line)) {
        bytes += number_of_key(line, keys[is_v2][0]) +
                 number_of_key(line, keys[is_v2][1]);
    }
    lines_close(&lines);
    return bytes;
}

/* The lower of the two limits. v1 says "none" by a number that no machine has.
 */
static uint64_t memory_limit_of(struct folder folder, bool is_v2)
{
    const uint64_t none = (uint64_t)1 << 62;
    uint64_t most = none, high = none;
    if (is_v2) {
        number_in_folder(folder, "memory.max", &most);
        number_in_folder(folder, "memory.high", &high);
    } else {
        number_in_folder(folder, "memory.limit_in_bytes", &most);
    }
    most = high < most ? high : most;
    return most < none ? most : UINT64_MAX;
}

static void ask_memory(struct folder folder, bool is_v2, void *answer)
{
    struct os_memory *memory = answer;
    uint64_t used;
    uint64_t limit = memory_limit_of(folder, is_v2);
    if (limit == UINT64_MAX ||
        !number_in_folder(folder,
                          is_v2 ? "memory.current" : "memory.usage_in_bytes",
                          &used)) {
        return;
    }
    uint64_t files = cached_files(folder, is_v2);
    used -= files < used ? files : used;
    uint64_t room = used < limit ? limit - used : 0;
    if (room < memory->room) {
        *memory = (struct os_memory){.limit = limit, .room = room};
    }
}

struct os_memory os_cgroup_memory(void)
{
    struct os_memory memory = {.limit = SIZE_MAX, .room = SIZE_MAX};
    ask_all(&(struct question){"memory", ask_memory, &memory});
    return memory;
}

size_t os_own_memory(void)
{
    char text[NUMBER_LENGTH];
    const char *at = text;
    uint64_t size, resident, shared;
    if (!first_line("/proc/self/statm", text, sizeof text) ||
        !read_number(&at, &size) || !read_number(&at, &resident) ||
        !read_number(&at, &shared) || shared > resident) {
        return 0;
    }
    return (resident - shared) * os_page_size();
}

static bool huge_pages_are_by_advice;

void os_note_huge_pages(void)
{
    char text[NUMBER_LENGTH];
    bool are = first_line("/sys/kernel/mm/transparent_hugepage/enabled", text,
                          sizeof text) &&
               strstr(text, "[madvise]") != NULL;
    __atomic_store_n(&huge_pages_are_by_advice, are, __ATOMIC_RELAXED);
}

bool os_huge_pages_are_by_advice(void)
{
    return __atomic_load_n(&huge_pages_are_by_advice, __ATOMIC_RELAXED);
}
