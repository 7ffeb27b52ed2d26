package browser

import (
	"bytes"
	"image"
	"image/color"
	"image/png"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"cloud_quota_exporter/internal/cloudsim"
	"cloud_quota_exporter/internal/cloudsim/cloudtest"
)

const maxPicture = 150_000 // bytes

// TestPictures sees to it that the pictures of the documentation are there and small; -pictures makes them.
func TestPictures(t *testing.T) {
	for _, picture := range []struct {
		file, scheme  string
		width, height int64
	}{
		{"status-page.png", "light", 1120, 860},
		{"status-page-phone.png", "dark", 375, 1000},
	} {
		file := "../../docs/images/" + picture.file
		if *pictures {
			b := newTab(t)
			b.prefer(t, picture.scheme)
			b.do(t, chromedp.EmulateViewport(picture.width, picture.height))
			b.open(t, newShowcase(t).url)
			b.draw(t, file)
		}
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		seen, format, err := image.DecodeConfig(bytes.NewReader(content))
		if err != nil || format != "png" || int64(seen.Width) != picture.width || len(content) > maxPicture {
			t.Errorf("%s: %s, %+v, %d bytes (%v)", file, format, seen, len(content), err)
		}
	}
}

// draw writes what the tab shows into a file.
func (b *tab) draw(t *testing.T, file string) {
	t.Helper()
	shot, err := chromedp.Run(b.ctx, chromedp.CaptureScreenshot())
	if err != nil {
		t.Fatal(err)
	}
	seen, err := png.Decode(bytes.NewReader(shot))
	if err != nil {
		t.Fatal(err)
	}
	bounds := seen.Bounds()
	fewer := image.NewRGBA(bounds) // fewer colours than the edges of letters have, for a smaller file
	for y := bounds.Min.Y; y < bounds.Max.Y; y++ {
		for x := bounds.Min.X; x < bounds.Max.X; x++ {
			c := color.RGBAModel.Convert(seen.At(x, y)).(color.RGBA)
			fewer.SetRGBA(x, y, color.RGBA{c.R&^7 | c.R>>5, c.G&^7 | c.G>>5, c.B&^7 | c.B>>5, 255})
		}
	}
	var out bytes.Buffer
	if err := (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&out, fewer); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, out.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}

// newShowcase returns a site with the demo's cloud, of which one service is refused.
func newShowcase(t *testing.T) *site {
	t.Helper()
	cloud := cloudtest.Demo()
	projects := cloud.Projects()
	cloud.Inject(cloudtest.Fault{
		Service: "dcs", ProjectID: projects[len(projects)-1].ID, Status: http.StatusForbidden,
		Body: cloudsim.ErrorBody("dcs", http.StatusForbidden, "no permission"),
	})
	s := newSite(t, cloud, strings.NewReplacer("name: ap-southeast-3}", "name: prod}", "name: ap-southeast-1}", "name: staging}",
		"name: ap-southeast-1_dev}", "name: dev}").Replace(configOf(cloud)))
	s.Scrape(t, time.Minute)
	return s
}
