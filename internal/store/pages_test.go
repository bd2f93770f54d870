package store_test

import (
	"errors"
	"testing"

	"countersign.dev/internal/store"
)

func TestPagesYieldEveryRowOnce(t *testing.T) {
	for _, rows := range []int{0, 1, store.PageSize - 1, store.PageSize, store.PageSize + 1, 3 * store.PageSize} {
		reads := 0
		all, err := store.Collect(store.Pages(func(after int64) (page []int64, last int64, err error) {
			reads++
			for last = after; last < int64(rows) && len(page) < store.PageSize; {
				last++
				page = append(page, last)
			}
			return page, last, nil
		}))
		if err != nil || len(all) != rows || reads != rows/store.PageSize+1 {
			t.Errorf("%d rows: %d in %d pages, %v", rows, len(all), reads, err)
		}
		for i, row := range all {
			if row != int64(i)+1 {
				t.Fatalf("%d rows: row %d is %d", rows, i, row)
			}
		}
	}
}

func TestAnErrorEndsPages(t *testing.T) {
	gone := errors.New("gone")
	reads := 0
	all, err := store.Collect(store.Pages(func(after int64) ([]int, int64, error) {
		if reads++; reads > 1 {
			return nil, 0, gone
		}
		return make([]int, store.PageSize), 1, nil
	}))
	if err != gone || all != nil || reads != 2 {
		t.Errorf("%d rows, %v, after %d pages", len(all), err, reads)
	}
}

func TestPagesAreNotReadFurtherThanWanted(t *testing.T) {
	reads := 0
	for range store.Pages(func(int64) ([]int, int64, error) { reads++; return make([]int, store.PageSize), 1, nil }) {
		break
	}
	if reads != 1 {
		t.Errorf("%d pages were read for one row", reads)
	}
}
