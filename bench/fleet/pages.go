package fleet

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"countersign.dev/client"
)

// An API is where a node answers.
type API struct {
	Address string // host:port
	Token   string // path of the file
}

// Pages reads what labels and states choose, page by page to the end, and returns
// how long each page took, and how many devices there were. It asks as any client
// would, and not with package client, which hides where a page ends.
func (a API) Pages(ctx context.Context, labels, states string) (took []time.Duration, devices int, err error) {
	token, err := os.ReadFile(a.Token)
	if err != nil {
		return nil, 0, err
	}
	query := url.Values{"labels": {labels}, "states": {states}}
	for {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+a.Address+"/v1/devices?"+query.Encode(), nil)
		if err != nil {
			return nil, 0, err
		}
		request.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
		began := time.Now()
		text, err := answer(request)
		took = append(took, time.Since(began))
		if err != nil {
			return nil, 0, err
		}
		var page client.Page[client.Device]
		if err := json.Unmarshal(text, &page); err != nil {
			return nil, 0, err
		}
		devices += len(page.Items)
		if page.Next == "" {
			return took, devices, nil
		}
		query.Set("after", page.Next)
	}
}

func answer(request *http.Request) ([]byte, error) {
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s: %s", request.URL, response.Status, text)
	}
	return text, err
}
