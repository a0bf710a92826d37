#include "stats_json.h"

#include "arenas.h"
#include "base.h"
#include "inspect.h"
#include "mapped.h"

/* Like snprintf: what does not fit is only counted. */
struct json {
    char *text;
    size_t room;
    size_t length;
};

static void add_text(struct json *json, const char *text)
{
    for (; *text != '\0'; text++) {
        if (json->length + 1 < json->room) {
            json->text[json->length] = *text;
        }
        json->length++;
    }
}

static void add_number(struct json *json, size_t number)
{
    char digits[24];
    size_t place = sizeof digits - 1;
    digits[place] = '\0';
    do {
        digits[--place] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    add_text(json, digits + place);
}

/* `before` is what stands before the name: a comma, or a brace. */
static void add_figure(struct json *json, const char *before, const char *name,
                       size_t number)
{
    add_text(json, before);
    add_text(json, "\"");
    add_text(json, name);
    add_text(json, "\":");
    add_number(json, number);
}

/* What all arenas have, or one of them. */
static void add_arena_figures(struct json *json,
                              const struct arena_stats *stats, size_t mapped)
{
    size_t unused = stats->free_bytes + stats->run_bytes;
    add_figure(json, ",", "allocated", stats->system_bytes - unused + mapped);
    add_figure(json, ",", "mapped", stats->system_bytes + mapped);
    add_figure(json, ",", "retained",
               stats->address_bytes - stats->system_bytes);
    add_figure(json, ",", "free_chunks", stats->free_bytes);
    add_figure(json, ",", "free_in_runs", stats->run_bytes);
    add_figure(json, ",", "heaps", stats->heaps);
}

static void add_large(struct json *json, const struct mapped_totals *mapped)
{
    add_text(json, ",\"large\":");
    add_figure(json, "{", "count", mapped->count);
    add_figure(json, ",", "bytes", mapped->bytes);
    add_figure(json, ",", "max_count", mapped->max_count);
    add_figure(json, ",", "max_bytes", mapped->max_bytes);
    add_text(json, "}");
}

static void add_arenas(struct json *json, struct arena_stats *sum)
{
    add_text(json, ",\"arenas\":[");
    for (unsigned number = 1; number <= arenas_count(); number++) {
        struct arena_stats stats;
        arena_stats(arena_numbered(number), &stats);
        arena_stats_add(sum, &stats);
        add_figure(json, number == 1 ? "{" : ",{", "number", number);
        add_arena_figures(json, &stats, 0);
        add_text(json, "}");
    }
    add_text(json, "]");
}

PTM_EXPORT size_t ptm_stats_json(char *text, size_t room)
{
    struct json json = {.text = text, .room = room};
    struct arena_stats sum = {0};
    struct mapped_totals mapped = mapped_get_totals();
    add_figure(&json, "{", "version", 1);
    add_arenas(&json, &sum);
    add_arena_figures(&json, &sum, mapped.bytes);
    add_large(&json, &mapped);
    add_text(&json, "}");
    if (room > 0) {
        text[json.length < room ? json.length : room - 1] = '\0';
    }
    return json.length;
}
