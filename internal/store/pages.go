package store

import "iter"

// PageSize is how many rows are read at once where all are wanted.
const PageSize = 1000

// Pages yields the rows that read returns page by page, which are PageSize behind
// after at most; the next page begins behind last. An error ends it.
func Pages[T any](read func(after int64) (page []T, last int64, err error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for after := int64(0); ; {
			page, last, err := read(after)
			if err != nil {
				var none T
				yield(none, err)
				return
			}
			for _, row := range page {
				if !yield(row, nil) {
					return
				}
			}
			if len(page) < PageSize {
				return
			}
			after = last
		}
	}
}

// Collect returns all that seq yields, or its error alone.
func Collect[T any](seq iter.Seq2[T, error]) (all []T, err error) {
	for row, err := range seq {
		if err != nil {
			return nil, err
		}
		all = append(all, row)
	}
	return all, nil
}
