package live

import (
	"hash/maphash"
	"slices"
)

// Device is the key of the device with that id, to be put into a Standing.
func (r *Registry) Device(id string) Key { return max(Key(maphash.String(r.seed, id)), 1) }

// Of appends to all the connections that belong to the device with that id.
func (r *Registry) Of(all []*Entry, id string) []*Entry {
	device := r.Device(id)
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, leaf := range r.devices[device] {
		for e := r.leaves[leaf]; e != nil; e = e.next {
			if e.device == device {
				all = append(all, e)
			}
		}
	}
	return all
}

// A device is found by the certificates that its connections have: an index of
// the connections themselves would take each of them two pointers more.

// linkDevice is called when e is among those with its leaf.
func (r *Registry) linkDevice(e *Entry) {
	if e.device != 0 && !slices.Contains(r.devices[e.device], e.leaf) {
		r.devices[e.device] = append(r.devices[e.device], e.leaf)
	}
}

// unlinkDevice is called when e is not among them any more.
func (r *Registry) unlinkDevice(e *Entry) {
	if e.device == 0 {
		return
	}
	for other := r.leaves[e.leaf]; other != nil; other = other.next {
		if other.device == e.device {
			return
		}
	}
	leaves := slices.DeleteFunc(r.devices[e.device], func(k Key) bool { return k == e.leaf })
	if len(leaves) == 0 {
		delete(r.devices, e.device)
		return
	}
	r.devices[e.device] = leaves
}
