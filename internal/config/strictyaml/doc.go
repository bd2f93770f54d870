// Package strictyaml turns YAML into a tagged struct, or into every fault that
// keeps it from being one.
//
// The struct says everything about a key: its name, what it may hold, its
// default. There is no second list to keep in step, so that a new key is one
// line:
//
//	Idle time.Duration `yaml:"idle" default:"60s" range:"1ms..168h"`
//
// Tags:
//
//	yaml:"KEY"           the key; a field without this tag is not decoded
//	yaml:"KEY,required"  its absence is a fault
//	yaml:"KEY,alone"     the struct may be written as this field's value alone
//	default:"V"          the value when the key is absent; of a list: "V|V"
//	one:"A|B"            the only words allowed
//	later:"C|D"          words that exist, but are not supported yet
//	range:"MIN..MAX"     bounds, both included, either may be missing
//	keys:"RULE"          of a map: a rule of Options.Rules that its keys must pass
//	is:"RULE"            a rule of Options.Rules that the text must pass
//	want:"..."           what is expected, where the type does not say it
//	hint:"..."           what to do when the value is refused
//	instead:"A|B"        the required keys that this one makes superfluous
//
// A field of type Later stands for a key that exists, but is not supported yet.
//
// Types: string, bool, int, int64 (a number of bytes: 16KiB), time.Duration,
// encoding.TextUnmarshaler, structs, pointers to structs (nil when absent),
// slices of these, maps of names to these. Where a slice is wanted, one value alone is a list of one.
// A list may not be empty, neither may a text, and a list of plain values does
// not repeat itself.
//
// ${NAME} in a value is the environment variable, $${ is a plain ${. Anchors
// and aliases work; merge keys, tags, complex keys and further documents are
// refused.
package strictyaml
