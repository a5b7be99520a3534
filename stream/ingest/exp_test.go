package ingest
import ("testing";"bytes";"time";"fmt"
"github.com/bluenviron/mediacommon/v2/pkg/formats/mpegts"
"github.com/bluenviron/mediacommon/v2/pkg/formats/mpegts/codecs")
func TestExp(t *testing.T){
 for _,key:=range []int{100_000,500_000,1_000_000}{
 tr:=&mpegts.Track{Codec:&codecs.H264{}}
 var b bytes.Buffer
 w:=&mpegts.Writer{W:&b,Tracks:[]*mpegts.Track{tr}}
 w.Initialize()
 total:=2_500_000*4
 t0:=time.Now()
 for i:=0;i<100;i++{
  n:=(total-2*key)/98; ty:=byte(1)
  if i%50==0 {n=key;ty=5}
  f:=make([]byte,n); for j:=range f{f[j]=byte(j*7|1)}; f[0]=ty
  w.WriteH264(tr,int64(i*3600),int64(i*3600),[][]byte{f})
 }
 tw:=time.Since(t0)
 t0=time.Now()
 r:=&mpegts.Reader{R:bytes.NewReader(b.Bytes())}
 if err:=r.Initialize();err!=nil{t.Fatal(err)}
 var mx time.Duration; last:=time.Now(); c:=0
 r.OnDataH264(r.Tracks()[0],func(pts,dts int64,au [][]byte)error{d:=time.Since(last); if d>mx{mx=d}; c++; last=time.Now();return nil})
 for r.Read()==nil{}
 fmt.Println(key,"write 4s",tw,"read 4s",time.Since(t0),"max gap",mx,c)
 }
}
