// Asks Apache Ranger's own policy engine. Standard input: one JSON document per line,
// {"id", "suite": {serviceName, serviceDef, policies, tagPolicyInfo, securityZones, serviceConfig}, "roles": RangerRoles,
//  "serviceTags": ServiceTags, "kinds": ["access","mask","filter"], "requests": [as in Ranger's test suites], "again": false}.
// Standard output: one line per document, id TAB answers joined by TAB, in the order of requests and kinds. An answer of
// access is A or D, colon, policy id; of a mask type|condition|value:id; of a filter expr:id. With "again", each question is
// answered six times, as Again says.
import com.google.gson.*;
import com.google.gson.reflect.TypeToken;
import java.io.*;
import java.nio.charset.StandardCharsets;
import java.nio.file.*;
import java.util.*;
import org.apache.ranger.authorization.hadoop.config.RangerPluginConfig;
import org.apache.ranger.plugin.contextenricher.RangerTagForEval;
import org.apache.ranger.plugin.contextenricher.RangerTagEnricher;
import org.apache.ranger.plugin.model.*;
import org.apache.ranger.plugin.policyengine.*;
import org.apache.ranger.plugin.resourcematcher.RangerResourceMatcher;
import org.apache.ranger.plugin.util.*;

public class Driver {
    static ServiceTags current;

    public static class Tags extends RangerTagEnricher {
        @Override public void init() {
            super.init();
            setServiceTags(current);
        }
    }

    // Ranger keeps matchers by resource name and values, for policies of all types and for zones alike, though what values mean
    // depends on the type. Which policy fills the entry is a matter of order. Here every policy has matchers of its own.
    static class Context extends RangerPluginContext {
        Context(RangerPluginConfig config) { super(config); }

        @Override public RangerResourceMatcher getResourceMatcher(String name, RangerPolicy.RangerPolicyResource resource) { return null; }

        @Override public void setResourceMatcher(String name, RangerPolicy.RangerPolicyResource resource, RangerResourceMatcher matcher) {}
    }

    static final Gson gson = new GsonBuilder().setDateFormat("yyyyMMdd-HH:mm:ss.SSSZ").create();
    static final Map<String, String> files = new HashMap<>();

    static <T> T get(JsonObject o, String name, java.lang.reflect.Type t) {
        return o.has(name) && !o.get(name).isJsonNull() ? gson.fromJson(o.get(name), t) : null;
    }

    public static void main(String[] args) throws Exception {
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8), 1 << 20);
        PrintStream out = new PrintStream(new BufferedOutputStream(new FileOutputStream(FileDescriptor.out), 1 << 20), false, "UTF-8");
        System.setOut(System.err);
        String defs = args.length > 0 ? args[0] : ".";
        String line;
        while ((line = in.readLine()) != null) {
            JsonObject doc = JsonParser.parseString(line).getAsJsonObject();
            JsonObject suite = doc.getAsJsonObject("suite");
            List<String> answers = new ArrayList<>();
            try {
                run(doc, suite, defs, answers);
            } catch (Throwable e) {
                StringWriter w = new StringWriter();
                e.printStackTrace(new PrintWriter(w));
                System.err.println("document " + doc.get("id") + ": " + w);
                answers.add("ERROR " + e);
            }
            out.print(doc.get("id").getAsString());
            for (String a : answers) { out.print('\t'); out.print(a.replace('\t', ' ').replace('\n', ' ')); }
            out.print('\n');
        }
        out.flush();
    }

    static RangerServiceDef def(JsonElement e, String dir) throws IOException {
        if (e.isJsonPrimitive()) { // the name of a file beside the input
            String name = e.getAsString();
            String text = files.get(name);
            if (text == null) files.put(name, text = new String(Files.readAllBytes(Paths.get(dir, name + ".json")), StandardCharsets.UTF_8));
            return gson.fromJson(text, RangerServiceDef.class);
        }
        return gson.fromJson(e, RangerServiceDef.class);
    }

    static void run(JsonObject doc, JsonObject suite, String defs, List<String> answers) throws Exception {
        if (doc.has("again") && doc.get("again").getAsBoolean()) {
            new Again(doc, defs).run(answers);
            return;
        }
        RangerPolicyEngineImpl engine = engine(doc, suite, defs);
        List<String> kinds = get(doc, "kinds", new TypeToken<List<String>>() {}.getType());
        for (JsonElement r : doc.getAsJsonArray("requests"))
            for (String kind : kinds) answers.add(tryAnswer(doc, engine, r.getAsJsonObject(), kind));
    }

    static String tryAnswer(JsonObject doc, RangerPolicyEngineImpl engine, JsonObject request, String kind) {
        try {
            return answer(engine, request, kind);
        } catch (Throwable e) {
            StringWriter w = new StringWriter();
            e.printStackTrace(new PrintWriter(w));
            System.err.println("document " + doc.get("id") + " request " + request + ": " + w);
            return "ERROR " + e;
        }
    }

    static RangerPolicyEngineImpl engine(JsonObject doc, JsonObject suite, String defs) throws Exception {
        ServicePolicies sp = new ServicePolicies();
        sp.setPolicyVersion(1L);
        sp.setServiceName(get(suite, "serviceName", String.class));
        RangerServiceDef serviceDef = def(suite.get("serviceDef"), defs);
        sp.setServiceDef(serviceDef);
        List<RangerPolicy> policies = get(suite, "policies", new TypeToken<List<RangerPolicy>>() {}.getType());
        sp.setPolicies(policies);
        Map<String, ServicePolicies.SecurityZoneInfo> zones = get(suite, "securityZones", new TypeToken<Map<String, ServicePolicies.SecurityZoneInfo>>() {}.getType());
        sp.setSecurityZones(zones);
        Map<String, String> config = get(suite, "serviceConfig", new TypeToken<Map<String, String>>() {}.getType());
        sp.setServiceConfig(config);
        current = get(doc, "serviceTags", ServiceTags.class);
        if (suite.has("tagPolicyInfo")) {
            JsonObject info = suite.getAsJsonObject("tagPolicyInfo");
            ServicePolicies.TagPolicies tp = new ServicePolicies.TagPolicies();
            tp.setServiceName(get(info, "serviceName", String.class));
            RangerServiceDef tagDef = def(info.get("serviceDef"), defs);
            if (current != null) {
                RangerServiceDef.RangerContextEnricherDef e = new RangerServiceDef.RangerContextEnricherDef();
                e.setItemId(1L); e.setName("tags"); e.setEnricher(Tags.class.getName()); e.setEnricherOptions(new HashMap<>());
                tagDef.setContextEnrichers(new ArrayList<>(Collections.singletonList(e)));
            }
            tp.setServiceDef(tagDef);
            List<RangerPolicy> list = get(info, "tagPolicies", new TypeToken<List<RangerPolicy>>() {}.getType());
            tp.setPolicies(list);
            sp.setTagPolicies(tp);
        }
        RangerRoles roles = get(doc, "roles", RangerRoles.class);
        if (roles == null) { roles = new RangerRoles(); roles.setRangerRoles(new HashSet<>()); }
        roles.setRoleVersion(1L);
        RangerPluginContext context = new Context(new RangerPluginConfig(serviceDef.getName(), sp.getServiceName(), "app", "cl1", "on-prem", null));
        return new RangerPolicyEngineImpl(sp, context, roles);
    }

    static String answer(RangerPolicyEngineImpl engine, JsonObject r, String kind) {
        RangerAccessResourceImpl resource = new RangerAccessResourceImpl();
        JsonObject res = r.getAsJsonObject("resource");
        for (Map.Entry<String, JsonElement> e : res.getAsJsonObject("elements").entrySet())
            if (e.getValue().isJsonArray()) resource.setValue(e.getKey(), (Object) gson.fromJson(e.getValue(), new TypeToken<List<String>>() {}.getType()));
            else resource.setValue(e.getKey(), e.getValue().getAsString());
        if (res.has("ownerUser")) resource.setOwnerUser(res.get("ownerUser").getAsString());
        Set<String> groups = get(r, "userGroups", new TypeToken<HashSet<String>>() {}.getType());
        Set<String> userRoles = get(r, "userRoles", new TypeToken<HashSet<String>>() {}.getType());
        RangerAccessRequestImpl q = new RangerAccessRequestImpl(resource, get(r, "accessType", String.class), get(r, "user", String.class), groups == null ? new HashSet<>() : groups, userRoles);
        if (r.has("accessTime")) q.setAccessTime(new Date(r.get("accessTime").getAsLong()));
        if (r.has("resourceMatchingScope")) q.setResourceMatchingScope(RangerAccessRequest.ResourceMatchingScope.valueOf(r.get("resourceMatchingScope").getAsString()));
        if (r.has("ignoreDescendantDeny")) q.setIgnoreDescendantDeny(r.get("ignoreDescendantDeny").getAsBoolean());
        Map<String, Object> ctx = new HashMap<>();
        if (r.has("context")) {
            JsonObject c = r.getAsJsonObject("context");
            if (c.has("TAGS")) {
                Set<RangerTagForEval> tags = gson.fromJson(c.get("TAGS").getAsString(), new TypeToken<Set<RangerTagForEval>>() {}.getType());
                ctx.put("TAGS", tags);
            }
            for (String key : new String[] {"ALLACCESSTYPES"})
                if (c.has(key)) { Set<String> s = gson.fromJson(c.get(key), new TypeToken<LinkedHashSet<String>>() {}.getType()); ctx.put(key, s); }
            if (c.has("ISANYACCESS")) ctx.put("ISANYACCESS", c.get("ISANYACCESS").getAsBoolean());
            if (c.has("ALLACCESSTYPEGROUPS")) { Set<Set<String>> s = gson.fromJson(c.get("ALLACCESSTYPEGROUPS"), new TypeToken<LinkedHashSet<LinkedHashSet<String>>>() {}.getType()); ctx.put("ALLACCESSTYPEGROUPS", s); }
        }
        q.setContext(ctx);
        if (r.has("userAttributes")) {
            RangerUserStore store = new RangerUserStore();
            Map<String, Map<String, String>> m = gson.fromJson(r.get("userAttributes"), new TypeToken<Map<String, Map<String, String>>>() {}.getType());
            store.setUserAttrMapping(m); store.setGroupAttrMapping(new HashMap<>());
            RangerAccessRequestUtil.setRequestUserStoreInContext(q.getContext(), store);
        }
        int type = kind.equals("mask") ? RangerPolicy.POLICY_TYPE_DATAMASK : kind.equals("filter") ? RangerPolicy.POLICY_TYPE_ROWFILTER : RangerPolicy.POLICY_TYPE_ACCESS;
        RangerAccessResult a = engine.evaluatePolicies(q, type, null);
        switch (kind) {
            case "mask": return n(a.getMaskType()) + "|" + n(a.getMaskCondition()) + "|" + n(a.getMaskedValue()) + ":" + a.getPolicyId();
            case "filter": return n(a.getFilterExpr()) + ":" + a.getPolicyId();
        }
        return (a.getIsAllowed() ? "A" : "D") + ":" + a.getPolicyId();
    }

    static String n(String s) { return s == null ? "" : s; }
}
