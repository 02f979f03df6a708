package main

import (
	"math"
	"runtime"
	"time"

	"github.com/dgraph-io/ristretto"
)

// Sets go through a buffer to a goroutine that carries them out. One that finds the buffer full is
// dropped, and one of a key that is not worth it is not admitted: both are how this cache is meant
// to work, and no fault. A value that is another key's is one.
var subject = description{
	name: "ristretto", expires: true, dropsSets: true, create: createRistretto,
}

type ristrettoCache struct {
	*ristretto.Cache
	ttl time.Duration
}

// What its documentation recommends: counters for ten times the entries, and 64 for the buffers.
func createRistretto(capacity int64, ttl time.Duration) (cache, error) {
	c, err := ristretto.NewCache(&ristretto.Config{
		NumCounters: 10 * capacity,
		MaxCost:     capacity,
		BufferItems: 64,
		Cost:        meetMarker,
	})
	return &ristrettoCache{c, ttl}, err
}

func (c *ristrettoCache) get(key string) ([]byte, bool) {
	value, isHit := c.Get(key)
	if !isHit {
		return nil, false
	}
	return value.([]byte), true
}

func (c *ristrettoCache) set(key string, value []byte) bool {
	return c.SetWithTTL(key, value, 1, c.ttl)
}

// A value that tells when its turn has come.
type marker chan struct{}

// The cost of a value that was set with none, which is asked for when its turn has come. Only
// markers are set so; they cost more than there ever is room for, and so are not taken in.
func meetMarker(value interface{}) int64 {
	if m, isMarker := value.(marker); isMarker {
		close(m)
	}
	return math.MaxInt64
}

// Waits for a marker to come through the buffer; what was set before it has been carried out then.
func (c *ristrettoCache) settle() {
	m := make(marker)
	for !c.Set("marker", m, 0) {
		runtime.Gosched()
	}
	<-m
}

func (c *ristrettoCache) size() int64 {
	return -1 // it does not tell
}

func (c *ristrettoCache) close() {
	c.Close()
}
