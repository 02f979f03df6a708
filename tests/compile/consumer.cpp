// A C++ program whose cache lives in a C unit (implementation.c).

#include "sark_cache.h"
#include <memory>
#include <string>

namespace {

struct cache_closer {
    void operator()(sark_cache *cache) const { sark_cache_destroy(cache); }
};

} // namespace

int main()
{
    sark_cache_config config = sark_cache_config();
    config.max_entries = 10;
    sark_cache *created = nullptr;
    if (sark_cache_create(&created, &config) != SARK_CACHE_OK) return 1;
    std::unique_ptr<sark_cache, cache_closer> cache(created);

    const std::string key = "key", value = "value";
    if (sark_cache_set(cache.get(), key.data(), key.size(), value.data(), value.size(), 0) !=
        SARK_CACHE_OK)
        return 2;
    std::string found(16, '\0');
    std::size_t found_bytes = 0;
    if (sark_cache_get(cache.get(), key.data(), key.size(), &found[0], found.size(),
                       &found_bytes) != SARK_CACHE_OK)
        return 3;
    found.resize(found_bytes);
    return found == value ? 0 : 4;
}
