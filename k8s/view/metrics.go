package view

import "github.com/prometheus/client_golang/prometheus"

var (
	objectsMetric = prometheus.NewDesc("irene_view_objects",
		"Objects that the view holds.", []string{"resource"}, nil)
	silenceMetric = prometheus.NewDesc("irene_view_seconds_since_progress",
		"Seconds since the resource's last list, event, bookmark or new watch; since the start where there was none.", []string{"resource"}, nil)
	syncedMetric = prometheus.NewDesc("irene_view_synced",
		"Whether the resource has been listed completely at least once: 1 or 0.", []string{"resource"}, nil)
)

// collector reads the view when it is asked.
type collector struct{ view *View }

func (c *collector) Describe(descriptions chan<- *prometheus.Desc) {
	descriptions <- objectsMetric
	descriptions <- silenceMetric
	descriptions <- syncedMetric
}

func (c *collector) Collect(metrics chan<- prometheus.Metric) {
	now := c.view.clock.Now()
	for _, f := range c.view.feeds {
		c.view.mu.RLock()
		state := f.state()
		c.view.mu.RUnlock()
		since, synced := state.progressAt, 0.0
		if since.IsZero() {
			since = c.view.created
		}
		if state.synced {
			synced = 1
		}
		resource := string(f.resource)
		metrics <- prometheus.MustNewConstMetric(objectsMetric, prometheus.GaugeValue, float64(state.objects), resource)
		metrics <- prometheus.MustNewConstMetric(silenceMetric, prometheus.GaugeValue, now.Sub(since).Seconds(), resource)
		metrics <- prometheus.MustNewConstMetric(syncedMetric, prometheus.GaugeValue, synced, resource)
	}
}
