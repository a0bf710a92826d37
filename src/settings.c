#include "settings.h"

#include <string.h>

#include "options.h"
#include "os.h"

extern char **environ;

/* The program may have it, or not. */
extern const char ptm_options[] __attribute__((weak, visibility("default")));

enum {
    /* Of the file. A longer one is named, and not read. */
    LINE_LENGTH = 512,
    PROGRAM_LENGTH = 4096,
};

/* ---- lists -------------------------------------------------------------- */

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

static struct span without_blanks(struct span span)
{
    while (span.length > 0 && is_blank(span.text[0])) {
        span.text++;
        span.length--;
    }
    while (span.length > 0 && is_blank(span.text[span.length - 1])) {
        span.length--;
    }
    return span;
}

/* The part before the first `end`, which *rest then begins behind. */
static struct span next_part(struct span *rest, char end)
{
    const char *found = memchr(rest->text, end, rest->length);
    size_t length = found != NULL ? (size_t)(found - rest->text) : rest->length;
    struct span part = {rest->text, length};
    size_t used = length + (found != NULL);
    rest->text += used;
    rest->length -= used;
    return part;
}

/* A switch may stand without a value. */
static struct span value_of_pair(enum option option, struct span pair,
                                 struct span rest)
{
    bool has_value = rest.text != pair.text + pair.length ||
                     pair.text[pair.length - 1] == '=';
    if (!has_value && option_most(option) == 1) {
        return (struct span){"1", 1};
    }
    return rest;
}

static void apply_pair(struct option_place place, struct span pair,
                       struct span (*trim)(struct span))
{
    struct span value = pair;
    struct span key = trim(next_part(&value, '='));
    enum option option = option_named(key);
    if (option == OPTION_COUNT) {
        option_warn_unknown(place, key);
    } else {
        option_set_from(place, option,
                        trim(value_of_pair(option, pair, value)));
    }
}

static struct span as_it_is(struct span span)
{
    return span;
}

static void apply_list(struct option_place place, struct span list)
{
    struct span (*trim)(struct span) =
        place.origin == ORIGIN_FILE ? without_blanks : as_it_is;
    while (list.length > 0) {
        struct span pair = next_part(&list, ',');
        if (trim(pair).length > 0) {
            apply_pair(place, trim(pair), trim);
        }
    }
}

static struct span whole(const char *text)
{
    return (struct span){text, strlen(text)};
}

/* ---- the program -------------------------------------------------------- */

static void read_program(void)
{
    if (ptm_options != NULL) {
        apply_list((struct option_place){.origin = ORIGIN_PROGRAM},
                   whole(ptm_options));
    }
}

/* ---- the file ----------------------------------------------------------- */

struct reader {
    int file;
    size_t left; /* that may still be read */
    size_t at;
    size_t length;
    char bytes[1024];
    char line[LINE_LENGTH];
};

/* The next byte, or -1. */
static int next_byte(struct reader *reader)
{
    if (reader->at == reader->length) {
        reader->at = 0;
        reader->length =
            os_read_file(reader->file, reader->bytes,
                         min_size(reader->left, sizeof reader->bytes));
        reader->left -= reader->length;
    }
    return reader->at < reader->length
               ? (unsigned char)reader->bytes[reader->at++]
               : -1;
}

/* False behind the last line. One that is too long comes with a length of more
 * than LINE_LENGTH, and nothing of it may be looked at. */
static bool next_line(struct reader *reader, struct span *line)
{
    int c = next_byte(reader);
    bool is_there = c >= 0;
    *line = (struct span){reader->line, 0};
    for (; c >= 0 && c != '\n'; c = next_byte(reader)) {
        if (line->length < LINE_LENGTH) {
            reader->line[line->length] = (char)c;
        }
        line->length++;
    }
    return is_there;
}

/* There was a byte too many. The last line may then have lost its end. */
static bool is_cut(const struct reader *reader)
{
    return reader->left == 0 && reader->at == reader->length;
}

static bool is_this_program(struct span name)
{
    char path[PROGRAM_LENGTH];
    if (!os_program_path(path, sizeof path)) {
        return false;
    }
    const char *slash = strrchr(path, '/');
    return span_is(name, path) || (slash != NULL && span_is(name, slash + 1));
}

static void warn_line(unsigned line, const char *what)
{
    struct message message;
    message_start(&message);
    message_text(&message, "ptm: ");
    message_place(&message,
                  (struct option_place){.origin = ORIGIN_FILE, .line = line},
                  OPTION_COUNT);
    message_text(&message, what);
    message_write(&message);
}

/* "[name]": what follows is for that program. */
static void read_section(struct span line, unsigned number, bool *applies)
{
    *applies = false;
    if (line.text[line.length - 1] != ']') {
        warn_line(number, ": no ']' behind the name of a program");
        return;
    }
    *applies = is_this_program(
        without_blanks((struct span){line.text + 1, line.length - 2}));
}

static void read_line(struct span line, unsigned number, bool *applies)
{
    line = without_blanks(next_part(&line, '#'));
    if (line.length > 0 && line.text[0] == '[') {
        read_section(line, number, applies);
    } else if (*applies) {
        apply_list((struct option_place){ORIGIN_FILE, number}, line);
    }
}

static void read_settings_file(void)
{
    struct reader reader = {.file = os_open_file(SETTINGS_FILE),
                            .left = SETTINGS_FILE_MAX + 1};
    struct span line;
    bool applies = true;
    if (reader.file < 0) {
        return;
    }
    for (unsigned number = 1; next_line(&reader, &line); number++) {
        if (is_cut(&reader)) {
            warn_line(number, ": too long a file, the rest is not read");
        } else if (line.length > LINE_LENGTH) {
            warn_line(number, ": too long");
        } else {
            read_line(line, number, &applies);
        }
    }
    os_close_file(reader.file);
}

/* ---- the environment ---------------------------------------------------- */

static const char PTM_VARIABLE[] = "PTM_OPTIONS=";
static const char TUNABLES_VARIABLE[] = "GLIBC_TUNABLES=";
static const char TUNABLES_PREFIX[] = "glibc.malloc.";

static bool begins_with(struct span span, const char *prefix)
{
    size_t length = strlen(prefix);
    return span.length >= length && memcmp(span.text, prefix, length) == 0;
}

/* To glibc an empty value is none. */
static void read_glibc_variable(const char *entry)
{
    const char *value = "";
    enum option option = option_of_variable(entry, &value);
    if (option != OPTION_COUNT && *value != '\0') {
        option_set_from((struct option_place){.origin = ORIGIN_GLIBC_VARIABLE},
                        option, whole(value));
    }
}

/* Those of glibc's malloc, in any version, that say nothing to ptm. */
static bool is_moot(struct span key)
{
    static const char keys[][24] = {"arena_test", "hugetlb", "mxfast",
                                    "tcache_unsorted_limit"};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        if (span_is(key, keys[i])) {
            return true;
        }
    }
    return false;
}

/* Zero blocks a size is no cache; other counts have no meaning here. */
static void read_tcache_count(struct option_place place, struct span value)
{
    if (span_is(value, "0")) {
        option_set_from(place, OPTION_TCACHE_MAX, value);
    }
}

static void read_tunable(struct span tunable)
{
    const struct option_place place = {.origin = ORIGIN_GLIBC_TUNABLES};
    if (!begins_with(tunable, TUNABLES_PREFIX)) {
        return;
    }
    struct span value = {tunable.text + strlen(TUNABLES_PREFIX),
                         tunable.length - strlen(TUNABLES_PREFIX)};
    struct span key = next_part(&value, '=');
    enum option option = option_named(key);
    if (option != OPTION_COUNT && option_is_glibcs(option)) {
        option_set_from(place, option, value);
    } else if (span_is(key, "tcache_count")) {
        read_tcache_count(place, value);
    } else if (span_is(key, "check")) {
        option_set_from(place, OPTION_HARDENED, value);
    } else if (!is_moot(key)) {
        option_warn_unknown(place, key);
    }
}

static void read_variable(const char *entry)
{
    struct span rest = whole(entry);
    if (begins_with(rest, PTM_VARIABLE)) {
        next_part(&rest, '=');
        apply_list((struct option_place){.origin = ORIGIN_PTM_OPTIONS}, rest);
    } else if (begins_with(rest, TUNABLES_VARIABLE)) {
        next_part(&rest, '=');
        while (rest.length > 0) {
            read_tunable(next_part(&rest, ':'));
        }
    } else if (begins_with(rest, "MALLOC_")) {
        read_glibc_variable(entry);
    }
}

static void read_environment(void)
{
    for (char **entry = environ; *entry != NULL; entry++) {
        read_variable(*entry);
    }
}

/* ---- all of them -------------------------------------------------------- */

static void print_option(enum option option)
{
    struct message message;
    message_start(&message);
    message_text(&message, "ptm:   ");
    message_text(&message, option_key(option));
    message_text(&message, " = ");
    message_number(&message, option_get(option));
    message_text(&message, " (");
    message_place(&message, option_places[option], option);
    message_text(&message, ")");
    message_write(&message);
}

static void print_options(void)
{
    char path[PROGRAM_LENGTH];
    struct message message;
    message_start(&message);
    message_text(&message, "ptm: options of process ");
    message_number(&message, os_process());
    if (os_program_path(path, sizeof path)) {
        message_text(&message, ", ");
        message_text(&message, path);
    }
    message_write(&message);
    for (unsigned option = 0; option < OPTION_COUNT; option++) {
        print_option((enum option)option);
    }
}

bool settings_read(void)
{
    if (environ == NULL) {
        return false;
    }
    read_program();
    read_settings_file();
    if (!os_is_secure()) {
        read_environment();
    }
    if (option_get(OPTION_PRINT_OPTIONS) != 0) {
        print_options();
    }
    return true;
}
