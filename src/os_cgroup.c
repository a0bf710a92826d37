/*
 * os_cgroup.c - what the kernel allows this process, as /proc and /sys tell:
 * CPUs and memory.
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
    FILE_LENGTH = 4096,
    NUMBER_LENGTH = 128,
};

static const char CGROUP[] = "/proc/self/cgroup";

/* ---- files ----------------------------------------------------------------
 */

/* Reads a small file whole, or what fits of it, as a string; false when it
 * cannot be read. */
static bool read_file(const char *path, char *text, size_t capacity)
{
    int file = os_open_file(path);
    if (file < 0) {
        return false;
    }
    size_t length = 0, got = 1;
    while (got > 0 && length + 1 < capacity) {
        got = os_read_file(file, text + length, capacity - 1 - length);
        length += got;
    }
    os_close_file(file);
    text[length] = '\0';
    return length > 0;
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
    while (*at == ' ' || *at == '\n') {
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

static bool read_in_folder(struct folder folder, const char *name, char *text,
                           size_t capacity)
{
    char path[PATH_LENGTH];
    return join_path(path, folder, name) && read_file(path, text, capacity);
}

/* The number that a file of the folder begins with. */
static bool number_in_folder(struct folder folder, const char *name,
                             uint64_t *number)
{
    char text[NUMBER_LENGTH];
    const char *at = text;
    return read_in_folder(folder, name, text, sizeof text) &&
           read_number(&at, number);
}

/* The number behind a key that begins a line; 0 when it is not there. */
static uint64_t number_of_key(const char *text, const char *key)
{
    size_t length = strlen(key);
    uint64_t number = 0;
    for (const char *line = text; line != NULL;) {
        if (strncmp(line, key, length) == 0 && line[length] == ' ') {
            const char *at = line + length + 1;
            return read_number(&at, &number) ? number : 0;
        }
        line = strchr(line, '\n');
        line = line != NULL ? line + 1 : NULL;
    }
    return 0;
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

static bool copy_path(char *path, const char *from, const char *end)
{
    size_t length = (size_t)(end - from);
    if (length >= PATH_LENGTH) {
        return false;
    }
    memcpy(path, from, length);
    path[length] = '\0';
    return true;
}

static void ask_unified(const struct question *question, const char *from,
                        const char *end)
{
    char path[PATH_LENGTH];
    if (copy_path(path, from, end)) {
        ask_upwards(question, "/sys/fs/cgroup", path, true);
    }
}

static void ask_controller(const struct question *question, const char *from,
                           const char *end)
{
    static const char mounts[] = "/sys/fs/cgroup/";
    char root[sizeof mounts + 16];
    char path[PATH_LENGTH];
    size_t length = strlen(question->controller);
    memcpy(root, mounts, sizeof mounts);
    memcpy(root + sizeof mounts - 1, question->controller, length + 1);
    if (copy_path(path, from, end)) {
        ask_upwards(question, root, path, false);
    }
}

/* One line of /proc/self/cgroup is "ID:controllers:path"; the controllers of
 * the one v2 line are empty. */
static void ask_line(const struct question *question, const char *line,
                     const char *end)
{
    const char *list = memchr(line, ':', (size_t)(end - line));
    if (list == NULL) {
        return;
    }
    list++;
    const char *list_end = memchr(list, ':', (size_t)(end - list));
    if (list_end == NULL) {
        return;
    }
    if (list == list_end) {
        ask_unified(question, list_end + 1, end);
    } else if (lists_controller(list, list_end, question->controller)) {
        ask_controller(question, list_end + 1, end);
    }
}

static void ask_all(const struct question *question)
{
    char text[FILE_LENGTH];
    if (!read_file(CGROUP, text, sizeof text)) {
        return;
    }
    const char *line = text;
    for (const char *end; (end = strchr(line, '\n')) != NULL; line = end + 1) {
        ask_line(question, line, end);
    }
}

/* ---- CPUs -----------------------------------------------------------------
 */

static bool read_quota(struct folder folder, bool is_v2, uint64_t *quota,
                       uint64_t *period)
{
    char text[NUMBER_LENGTH];
    const char *at = text;
    if (is_v2) {
        return read_in_folder(folder, "cpu.max", text, sizeof text) &&
               read_number(&at, quota) && read_number(&at, period);
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
    char text[FILE_LENGTH];
    if (!read_in_folder(folder, "memory.stat", text, sizeof text)) {
        return 0;
    }
    return is_v2 ? number_of_key(text, "inactive_file") +
                       number_of_key(text, "active_file")
                 : number_of_key(text, "total_inactive_file") +
                       number_of_key(text, "total_active_file");
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
    if (!read_file("/proc/self/statm", text, sizeof text) ||
        !read_number(&at, &size) || !read_number(&at, &resident) ||
        !read_number(&at, &shared) || shared > resident) {
        return 0;
    }
    return (resident - shared) * os_page_size();
}
