// Package pace says when somebody has tried often enough.
package pace
