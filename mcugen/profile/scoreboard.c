/*
 * Counts the instructions a simulator executes and runs an in-order dual-issue Cortex-M7 scoreboard over them.
 *
 * `on_block` is a Unicorn block hook: it sees each straight run of code just before it executes. Instructions are
 * decoded once, by a call back into Python, and found again through a table by address. `on_access` is a Unicorn memory
 * hook, and feeds the data cache. The rules are those of scoreboard.py, which states them; both give equal numbers.
 */
#include "scoreboard.h"

#include <stdlib.h>
#include <string.h>

#ifdef _WIN32
#define EXPORT __declspec(dllexport)
#else
#define EXPORT __attribute__((visibility("default")))
#endif

#define PAGE_BITS 12
#define PAGE_SLOTS (1u << (PAGE_BITS - 1)) /* halfwords of a page */
#define MAX_KINDS 65536                    /* different instructions, index 0 unused */
#define MAX_DEPTH 8
#define LONG_READY (-16)                   /* cycle of results made before the start */
#define UC_MEM_WRITE 17
#define IT_STATE 0x0600FC00u               /* bits of the CPSR */

typedef struct {
    uint16_t kind[PAGE_SLOTS];
    uint16_t watch[PAGE_SLOTS];
    uint8_t predictor[PAGE_SLOTS];
} page;

typedef struct {
    uint32_t sets, ways, line_shift;
    uint32_t *lines; /* line number + 1, most recently used first in each set */
} cache;

typedef struct {
    settings rules;
    host host;

    page **pages;
    instruction *kinds;
    cache icache, dcache;

    /* The issue window of the present cycle, counts.cycles. */
    counts counts;
    int64_t ready[REGISTERS];
    uint8_t loaded[REGISTERS];
    uint32_t slot, units, loads, stores;
    int conditional_access; /* the present block may hold a load or store in an IT block */

    /* Where the last block ended. */
    const instruction *last;
    uint8_t *last_predictor;
    uint32_t next_address;

    record *records;
    uint32_t n_records, max_records, lost_records, undecoded;
    uint32_t open[MAX_DEPTH], depth;
} scoreboard;

/* ---- caches ---- */

static void cache_init(cache *c, uint32_t sets, uint32_t ways, uint32_t line_bytes)
{
    c->sets = sets;
    c->ways = ways;
    for (c->line_shift = 0; (1u << c->line_shift) < line_bytes; c->line_shift++) {
    }
    c->lines = calloc((size_t)sets * ways, sizeof *c->lines);
}

/* Looks a line up and makes it the most recent of its set; returns 1 on a miss. */
static int cache_touch(cache *c, uint32_t line)
{
    uint32_t *set = c->lines + (size_t)(line & (c->sets - 1)) * c->ways, tag = line + 1, way = 0;
    if (set[0] == tag)
        return 0;
    while (way < c->ways && set[way] != tag)
        way++;
    int missed = way == c->ways;
    for (way -= (uint32_t)missed; way > 0; way--)
        set[way] = set[way - 1];
    set[0] = tag;
    return missed;
}

static uint32_t fill_cycles(const scoreboard *s, uint32_t address)
{
    for (uint32_t k = 0; k < s->rules.n_regions; k++) {
        const region *r = &s->rules.regions[k];
        if (address >= r->start && address < r->end)
            return r->fill_cycles;
    }
    return 0;
}

/* Touches the lines of [address, address + size); returns the misses and adds the stall cycles if `stalls`. */
static uint32_t access_lines(scoreboard *s, cache *c, uint32_t address, uint32_t size, int stalls)
{
    uint32_t cycles = fill_cycles(s, address), misses = 0;
    if (!cycles || !size || !c->sets)
        return 0;
    for (uint32_t line = address >> c->line_shift; line <= (address + size - 1) >> c->line_shift; line++)
        misses += (uint32_t)cache_touch(c, line);
    if (stalls)
        s->counts.memory_cycles += (uint64_t)misses * cycles;
    return misses;
}

/* ---- issue ---- */

static inline void new_cycle(scoreboard *s, uint64_t cycle)
{
    s->counts.cycles = cycle;
    s->slot = s->units = s->loads = s->stores = 0;
}

static inline void issue(scoreboard *s, const instruction *i)
{
    int64_t earliest = (int64_t)s->counts.cycles;
    for (int k = 0; k < i->n_sources; k++) {
        int reg = i->source[k];
        int need = i->need[k] == NEED_EARLY_IF_LOADED ? -s->loaded[reg] : i->need[k];
        int64_t from = s->ready[reg] - need;
        if (from > earliest)
            earliest = from;
    }
    if (earliest > (int64_t)s->counts.cycles)
        new_cycle(s, (uint64_t)earliest);
    if (s->slot == 1 && (i->first_slot || i->alone || (s->units & i->units) || s->loads + i->loads > s->rules.max_loads ||
                         s->stores + i->stores > 1))
        new_cycle(s, s->counts.cycles + 1);

    uint64_t cycle = s->counts.cycles;
    for (int k = 0; k < i->n_results; k++) {
        int reg = i->result[k];
        uint32_t extra = i->loads && reg < 16 && i->latency[k] ? s->rules.load_extra_cycles : 0;
        s->ready[reg] = (int64_t)(cycle + i->latency[k] + extra);
        s->loaded[reg] = i->loads != 0;
    }
    s->units |= i->units;
    s->loads += i->loads;
    s->stores += i->stores;
    if (i->alone)
        new_cycle(s, cycle + i->cycles);
    else if (++s->slot == 2)
        new_cycle(s, cycle + 1);
}

/* What the end of the last block costs, now that the address of the next is known. */
static void follow_branch(scoreboard *s, uint32_t address)
{
    int taken = address != s->next_address;
    if (s->last->branch == BRANCH_CONDITIONAL) {
        uint8_t *counter = s->last_predictor;
        if ((*counter >= 2) != taken) {
            new_cycle(s, s->counts.cycles + s->rules.mispredict_cycles);
            s->counts.mispredicts++;
        }
        if (taken && *counter < 3)
            ++*counter;
        else if (!taken && *counter > 0)
            --*counter;
    } else if (s->last->branch == BRANCH_INDIRECT) {
        new_cycle(s, s->counts.cycles + s->rules.indirect_cycles);
    }
    if (taken && s->slot)
        new_cycle(s, s->counts.cycles + 1);
    if (taken && s->rules.taken_cycles)
        new_cycle(s, s->counts.cycles + s->rules.taken_cycles);
}

/* ---- watched functions ---- */

static void close_records(scoreboard *s, uint32_t address)
{
    while (s->depth && s->records[s->open[s->depth - 1]].return_address == address) {
        record *r = &s->records[s->open[--s->depth]];
        r->end = s->counts;
        r->done = 1;
    }
}

static void open_record(scoreboard *s, void *engine, uint32_t watch)
{
    uint32_t link = 0;
    s->host.read_register(engine, s->host.link_register, &link);
    if (s->depth) {
        const record *inner = &s->records[s->open[s->depth - 1]];
        if (inner->watch == watch && inner->return_address == (link & ~1u))
            return; /* a loop back to the first instruction, not a call */
    }
    if (s->depth == MAX_DEPTH || s->n_records == s->max_records) {
        s->lost_records++;
        return;
    }
    record *r = &s->records[s->n_records];
    *r = (record){.watch = watch, .depth = s->depth, .return_address = link & ~1u, .begin = s->counts};
    s->open[s->depth++] = s->n_records++;
}

/* ---- hooks ---- */

static page *page_of(scoreboard *s, uint32_t address)
{
    page **p = &s->pages[address >> PAGE_BITS];
    if (!*p)
        *p = calloc(1, sizeof **p);
    return *p;
}

static inline uint32_t slot_of(uint32_t address) { return address >> 1 & (PAGE_SLOTS - 1); }

static inline const instruction *fetch(scoreboard *s, uint32_t address)
{
    return &s->kinds[page_of(s, address)->kind[slot_of(address)]];
}

EXPORT void on_block(void *engine, uint64_t address64, uint32_t size, void *user)
{
    scoreboard *s = user;
    uint32_t start = (uint32_t)address64 & ~1u, end = start + size, at = start;
    close_records(s, start);
    uint32_t watch = page_of(s, start)->watch[slot_of(start)];
    if (watch)
        open_record(s, engine, watch);
    /* Unicorn also ends blocks at its pages of 1 KB, be it inside an IT block, whose instructions then look like others. */
    const int continued = s->last && s->last->branch == BRANCH_NONE && start == s->next_address;
    if (s->last)
        follow_branch(s, start);
    s->counts.icache_misses += access_lines(s, &s->icache, start, size, 1);
    s->conditional_access = continued;
    while (at < end) {
        const instruction *i = fetch(s, at);
        if (!i->size) {
            s->host.decode(start, size);
            i = fetch(s, at);
            if (!i->size) {
                s->undecoded++;
                break;
            }
        }
        s->counts.instructions++;
        s->conditional_access |= i->conditional && i->loads + i->stores;
        issue(s, i);
        s->last = i;
        s->last_predictor = &page_of(s, at)->predictor[slot_of(at)];
        at += i->size;
    }
    s->next_address = end;
}

/* Calling a hook for an access inside an IT block, Unicorn (2.1.4) leaves the block's state behind in the status register,
 * and instructions of a later block are skipped. Between blocks that state is always zero, so it can be wiped here. */
static void mend_it_state(const scoreboard *s, void *engine)
{
    uint32_t status = 0;
    s->host.read_register(engine, s->host.status_register, &status);
    if (status & IT_STATE) {
        status &= ~IT_STATE;
        s->host.write_register(engine, s->host.status_register, &status);
    }
}

EXPORT void on_access(void *engine, int type, uint64_t address, int size, int64_t value, void *user)
{
    scoreboard *s = user;
    (void)value;
    if (s->conditional_access)
        mend_it_state(s, engine);
    int stalls = type != UC_MEM_WRITE || s->rules.write_miss_stalls;
    s->counts.dcache_misses += access_lines(s, &s->dcache, (uint32_t)address, (uint32_t)size, stalls);
}

/* ---- what Python calls ---- */

EXPORT scoreboard *scoreboard_new(const settings *rules, const host *host, uint32_t max_records)
{
    scoreboard *s = calloc(1, sizeof *s);
    s->rules = *rules;
    s->host = *host;
    s->pages = calloc(1u << (32 - PAGE_BITS), sizeof *s->pages);
    s->kinds = calloc(MAX_KINDS, sizeof *s->kinds);
    s->max_records = max_records;
    for (int reg = 0; reg < REGISTERS; reg++)
        s->ready[reg] = LONG_READY;
    s->records = calloc(max_records, sizeof *s->records);
    cache_init(&s->icache, rules->icache_sets, rules->icache_ways, rules->line_bytes);
    cache_init(&s->dcache, rules->dcache_sets, rules->dcache_ways, rules->line_bytes);
    return s;
}

EXPORT void scoreboard_free(scoreboard *s)
{
    for (uint32_t k = 0; k < 1u << (32 - PAGE_BITS); k++)
        free(s->pages[k]);
    free(s->pages);
    free(s->kinds);
    free(s->records);
    free(s->icache.lines);
    free(s->dcache.lines);
    free(s);
}

EXPORT void scoreboard_define(scoreboard *s, uint32_t kind, const instruction *i) { s->kinds[kind] = *i; }

EXPORT void scoreboard_place(scoreboard *s, uint32_t address, uint32_t kind)
{
    page_of(s, address)->kind[slot_of(address)] = (uint16_t)kind;
}

EXPORT void scoreboard_watch(scoreboard *s, uint32_t address, uint32_t watch)
{
    page_of(s, address)->watch[slot_of(address)] = (uint16_t)watch;
}

EXPORT void scoreboard_counts(const scoreboard *s, counts *out) { *out = s->counts; }

EXPORT uint32_t scoreboard_undecoded(const scoreboard *s) { return s->undecoded; }

/* Copies up to `max` records; returns how many calls were watched in all, those not recorded included. */
EXPORT uint32_t scoreboard_records(const scoreboard *s, record *out, uint32_t max)
{
    uint32_t n = s->n_records < max ? s->n_records : max;
    if (n)
        memcpy(out, s->records, n * sizeof *out);
    return s->n_records + s->lost_records;
}

/* sizeof each shared type, so that a change on one side only is noticed. */
EXPORT void scoreboard_sizes(uint32_t sizes[5])
{
    const uint32_t all[5] = {sizeof(instruction), sizeof(settings), sizeof(host), sizeof(counts), sizeof(record)};
    memcpy(sizes, all, sizeof all);
}
