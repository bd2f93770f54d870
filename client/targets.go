package client

import (
	"context"
	"iter"
	"net/url"
	"time"
)

// A Target is a server of a target group that is in force.
type Target struct {
	TargetGroup    string     `json:"target_group"`
	Address        string     `json:"address"`
	Name           string     `json:"name,omitempty" doc:"By which the configuration has it, if it was found behind a name."`
	Zone           string     `json:"zone,omitempty"`
	Weight         int        `json:"weight"`
	Share          float64    `json:"share" doc:"What part of what its weight says it gets now: less than 1 while it starts slowly or fails more than the others, 0 while it is ejected."`
	State          string     `json:"state" doc:"initial, healthy, unhealthy or draining."`
	Code           string     `json:"code,omitempty" doc:"Why, as AWS says it."`
	Reason         string     `json:"reason,omitempty"`
	Since          time.Time  `json:"since"`
	EjectedUntil   *time.Time `json:"ejected_until,omitempty" doc:"It failed requests and is left out until then."`
	ConnectionsEnd *time.Time `json:"connections_end,omitempty" doc:"It is unhealthy, and the connections in use to it are closed then."`
	SlowStart      bool       `json:"slow_start" doc:"Its share grows, because it has become healthy."`
	Anomalous      bool       `json:"anomalous" doc:"It fails more than the others."`
	InFlight       int64      `json:"in_flight" doc:"Requests at it now."`
	Idle           int        `json:"idle" doc:"Connections that wait for a request."`
	ConnectErrors  uint64     `json:"connect_errors" doc:"Connections that could not be made."`
	Ejections      uint64     `json:"ejections" doc:"How often it was left out."`
}

// Targets returns those of a target group; "" for all.
func (c *Client) Targets(ctx context.Context, targetGroup string) iter.Seq2[Target, error] {
	q := url.Values{}
	if targetGroup != "" {
		q.Set("target_group", targetGroup)
	}
	return all[Target](ctx, c, "/v1/targets", q)
}
