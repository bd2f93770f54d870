// Package ledgertest holds every variant of a ledger to what authorities rely on.
package ledgertest
