/* Puts everything of a cache that can wrap just before its wrap, white box. Include it after
   sark_cache.h and support.h, in a program that keeps the header's macros. The table of what there
   is stands in unit_wrapping.c. */

#ifndef SARK_WRAPS_H
#define SARK_WRAPS_H

/* So far before its wrap each number begins, at most, in its own steps. */
#define WRAPS_NEAR 40u

/* Some steps before a wrap. */
static inline uint64_t wraps_before(uint64_t *random)
{
    return 1 + random_below(random, WRAPS_NEAR);
}

/* Counters wrap at 2^64. */
static inline void wraps_counters(sarki_a64 *counters, size_t count, uint64_t *random)
{
    for (size_t i = 0; i < count; i++)
        sarki_store64_relaxed(&counters[i], 0 - wraps_before(random));
}

/* The first counter of a struct and those behind it, up to the end of a field. */
#define WRAPS_COUNTERS(owner, first, last, random)                                                \
    wraps_counters(&(owner)->first,                                                               \
                   ((size_t)((char *)(&(owner)->last + 1) - (char *)&(owner)->first)) /           \
                       sizeof(sarki_a64),                                                         \
                   (random))

static inline void wraps_shard(sarki_shard *shard, uint64_t version_wrap, uint64_t *random)
{
    shard->generation = (uint32_t)(0 - wraps_before(random));
    shard->last_version = version_wrap - wraps_before(random);
    wraps_counters(&shard->a_evicted_for_entries, 1, random);
    wraps_counters(&shard->a_sets, 1, random);
    WRAPS_COUNTERS(shard, a_hits, a_fallbacks, random);
    wraps_counters(shard->a_writes, SARKI_MODES, random);
    WRAPS_COUNTERS(shard, a_deletes, a_room_moves, random);
}

static inline void wraps_lease(const sarki_leases *leases, sarki_lease *lease, uint64_t *random)
{
    sarki_residents *residents = sarki_residents_of(lease);
    wraps_counters(&lease->a_hits, 1, random);
    WRAPS_COUNTERS(lease, a_pin_hits, a_short_buffers, random);
    sarki_store32_relaxed(&lease->a_strangers, (uint32_t)(0 - wraps_before(random)));
    sarki_store32_relaxed(&lease->a_sample_tick, (uint32_t)(0 - wraps_before(random)));
    for (uint32_t way = 0; leases->has_residents && way < SARKI_RESIDENT_WAYS; way++) {
        wraps_counters(&residents->ways[way].a_hits, 1, random);
        sarki_store64_relaxed(&residents->a_words[way],
                              (0 - wraps_before(random)) * SARKI_WORD_USE);
    }
}

static inline void wraps_leases(sarki_leases *leases, uint64_t *random)
{
    for (uint32_t i = 0; i < leases->lease_count; i++)
        wraps_lease(leases, sarki_lease_at(leases, i), random);
    for (uint32_t i = 0; i < leases->pin_count; i++) /* even: the pin is not out */
        sarki_store32_relaxed(&leases->pins[i].a_sequence,
                              (uint32_t)(0 - 2 * wraps_before(random)));
    sarki_store32_relaxed(&leases->a_next_home, (uint32_t)(0 - wraps_before(random)));
}

/* Stamps begin before a number: by the count, or a little time before it by the counter. */
static inline void wraps_stamps(sarki_stamps *stamps, bool counted, uint64_t at, uint64_t *random)
{
    if (counted) stamps->shift = -1;
    sarki_store64_relaxed(&stamps->a_count, at - wraps_before(random) * SARKI_STAMP_STEP);
    if (stamps->shift >= 0)
        sarki_store64_relaxed(&stamps->a_offset,
                              sarki_stamp_key(at - (sarki_counter() << stamps->shift) -
                                              (wraps_before(random) << 16)));
}

static inline void wraps_histograms(sark_cache *cache, uint64_t *random)
{
    for (int kind = 0; cache->histograms && kind < SARKI_LATENCY_KINDS; kind++)
        wraps_counters(cache->histograms[kind].a_buckets, SARK_CACHE_LATENCY_BUCKETS, random);
}

/* Everything but the time. Versions are before version_wrap, stamps before stamp_wrap. Nothing
   may have been done with the cache yet. */
static inline void wraps_all(sark_cache *cache, uint64_t version_wrap, bool counted,
                             uint64_t stamp_wrap, uint64_t *random)
{
    for (uint32_t i = 0; i < cache->shard_count; i++)
        wraps_shard(&cache->shards[i], version_wrap, random);
    wraps_leases(&cache->leases, random);
    wraps_stamps(&cache->stamps, counted, stamp_wrap, random);
    wraps_counters(cache->a_rejected, SARKI_REJECTIONS, random);
    wraps_histograms(cache, random);
    cache->memory.arena.generation = (uint32_t)(0 - wraps_before(random));
    cache->room.next_ticket = cache->room.serving = (uint32_t)(0 - wraps_before(random));
    sark_cache_metrics_reset(cache); /* which counts from here */
}

#endif
