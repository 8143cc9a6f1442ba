#include "daemon/api/host_service.h"

#include "fixture.h"
#include "protocol/interfaces.h"

namespace sandboxd::test {
namespace {

class Host : public ServerTest {
 protected:
  Client client = connect();
};

TEST_F(Host, GivesInfoAndFeatures) {
  EXPECT_EQ(client.ask("org.sandboxd.Host.Info")["parameters"], (Json{{"info", {{"version", "x"}}}}));
  EXPECT_EQ(client.ask("org.sandboxd.Host.Features")["parameters"], (Json{{"features", {{"landlock", 3}}}}));
  EXPECT_EQ(client.ask("org.sandboxd.Host.Info", {{"x", 1}})["error"], "org.sandboxd.InvalidArgument");
}

TEST_F(Host, GivesProfiles) {
  EXPECT_EQ(client.ask("org.sandboxd.Host.Profiles")["parameters"]["profiles"].size(), 1U);
  EXPECT_EQ(client.ask("org.sandboxd.Host.Profiles", {{"name", "default"}})["parameters"]["profiles"][0]["name"],
            "default");
  const Json missing = client.ask("org.sandboxd.Host.Profiles", {{"name", "no"}});
  EXPECT_EQ(missing["error"], "org.sandboxd.NotFound");
  EXPECT_EQ(missing["parameters"], (Json{{"what", "profile"}, {"name", "no"}}));
}

TEST_F(Host, JsonThatIsNoneIsOurFault) {
  supervisor.info_text = "{";
  EXPECT_EQ(client.ask("org.sandboxd.Host.Info")["error"], "org.sandboxd.Unavailable");
}

TEST_F(Host, TellsItsVersion) {
  EXPECT_EQ(client.ask("org.sandboxd.Version")["parameters"], (Json{{"version", SANDBOXD_VERSION}, {"protocol", 1}}));
}

TEST_F(Host, DescribesEveryInterface) {
  const Json interfaces = client.ask("org.varlink.service.GetInfo")["parameters"]["interfaces"];
  EXPECT_EQ(interfaces, (Json{"org.sandboxd", "org.sandboxd.Files", "org.sandboxd.Host", "org.sandboxd.Jail",
                              "org.varlink.service"}));
  for (const Json& name : interfaces) {
    const Json reply = client.ask("org.varlink.service.GetInterfaceDescription", {{"interface", name}});
    const std::string text = reply["parameters"]["description"];
    EXPECT_NE(text.find("interface " + name.get<std::string>() + "\n"), std::string::npos);
  }
}

}  // namespace
}  // namespace sandboxd::test
